"""Train a character-level GPT on the Python language reference, which ships inside Python.

    python examples/train_gpt.py            # about two minutes on two cores
    python examples/train_gpt.py --quick    # a few seconds, to see it run
    python examples/train_gpt.py --resume auto

The paragraphs are of very different lengths. Instead of padding them to the longest, several are
packed into one row; attention, positions and targets never cross from one to the next.
"""

from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
from plots import plot_losses

import tinytrain as tt
from tinytrain.data import DataLoader, PackedDataset, collate_packed, plan_packing, split_sequences
from tinytrain.models import GPT, GPTConfig, language_model_loss

BOUNDARY = 0  # the token that begins and ends every paragraph
HELD_OUT = 0.1

DEFAULTS = {
    "batch_size": 4,
    "grad_accum": 2,
    "max_steps": 1200,
    "lr": 3e-3,
    "weight_decay": 0.1,
    "warmup_steps": 50,
    "log_every": 20,
    "eval_every": 300,
    "save_every": 300,
    "out": "runs/train_gpt",
}
QUICK = {
    "max_steps": 6,
    "warmup_steps": 2,
    "log_every": 2,
    "eval_every": 3,
    "save_every": 3,
    "batch_size": 2,
    "context": 32,
    "layers": 1,
    "width": 32,
    "paragraphs": 200,
    "out": "runs/train_gpt_quick",
}


def load_paragraphs() -> list[str]:
    """Return the different paragraphs of the language reference, in order.

    The topics repeat each other. A repeated paragraph must go before any are held out, or the
    model would be tested on what it has seen.
    """
    blocks = (block.strip() for text in topics.values() for block in text.split("\n\n"))
    return list(dict.fromkeys(block for block in blocks if block))


def encode(paragraphs: list[str], alphabet: str) -> list[np.ndarray]:
    number = {character: i + 1 for i, character in enumerate(alphabet)}
    return [
        np.array([BOUNDARY, *(number[character] for character in text), BOUNDARY])
        for text in paragraphs
    ]


def decode(tokens: np.ndarray, alphabet: str) -> str:
    return "".join(alphabet[token - 1] if token != BOUNDARY else "\n\n" for token in tokens)


def pack(sequences: list[np.ndarray], context: int, name: str) -> PackedDataset:
    pieces = split_sequences(sequences, context, split="split")
    plan = plan_packing([len(piece) for piece in pieces], context)
    print(f"\n{name} data: {len(sequences):,} paragraphs in {len(pieces):,} pieces\n{plan}")
    return PackedDataset(pieces, plan, pad_id=BOUNDARY)


def main() -> None:
    parser = tt.train.TrainingParser(__doc__.splitlines()[0], DEFAULTS, QUICK)
    parser.add_argument("--context", type=int, default=128, help="positions per row")
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--init-std", type=float, default=0.06, help="of the first weights")
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--paragraphs", type=int, help="take only so many")
    parser.add_argument("--sample-length", type=int, default=300)
    arguments = parser.parse_args()
    configuration = tt.train.start(arguments)

    paragraphs = load_paragraphs()[: arguments.paragraphs]
    alphabet = "".join(sorted(set("".join(paragraphs))))
    sequences = encode(paragraphs, alphabet)
    order = tt.Generator(0).randperm(len(sequences))  # the split is the same for every seed
    held_out = int(HELD_OUT * len(sequences))
    validation = pack([sequences[i] for i in order[:held_out]], arguments.context, "validation")
    training = pack([sequences[i] for i in order[held_out:]], arguments.context, "training")

    plan = tt.BatchPlan(arguments.batch_size, arguments.context, arguments.grad_accum)
    print(f"\n{plan}")
    train_loader = DataLoader(
        training,
        plan.micro_batch,
        shuffle=True,
        collate_fn=collate_packed,
        generator=arguments.seed,
    )
    validation_loader = DataLoader(validation, 32, collate_fn=collate_packed)

    model = GPT(
        GPTConfig(
            vocab_size=len(alphabet) + 1,
            context_length=arguments.context,
            num_layers=arguments.layers,
            num_heads=arguments.heads,
            embed_dim=arguments.width,
            dropout=arguments.dropout,
            init_std=arguments.init_std,
        )
    )
    print(f"\nmodel: {model.num_parameters():,} parameters")
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim == 1]  # biases and norms do not decay
    optimizer = tt.optim.AdamW(
        [
            {"params": matrices, "weight_decay": arguments.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=arguments.lr,
        betas=(0.9, 0.99),
    )
    windows = -(-len(train_loader) // plan.accumulation_steps)
    max_steps = arguments.max_steps or arguments.epochs * windows
    trainer = tt.Trainer(
        model,
        optimizer,
        language_model_loss,
        train_loader,
        max_steps=max_steps,
        accumulation_steps=plan.accumulation_steps,
        schedule=tt.optim.WarmupCosine(
            optimizer, min(arguments.warmup_steps, max_steps), max_steps, floor=0.05
        ),
        clip_grad_norm=arguments.clip_grad or None,
        validation_loader=validation_loader,
        eval_every=arguments.eval_every,
        log_every=arguments.log_every,
        save_every=arguments.save_every,
        out=arguments.out,
        config=configuration,
        item_name="tokens",
    )
    if arguments.resume:
        found = trainer.resume(arguments.resume)
        print(f"resumed from {found} at step {trainer.step}" if found else "nothing to resume")
    result = trainer.fit()

    sample = model.generate(
        np.array([BOUNDARY]),
        arguments.sample_length,
        temperature=0.8,
        top_k=20,
        seed=arguments.seed,
        context=arguments.context - 1,  # the last position of a row is never given a target
    )
    print(f"\na sample at temperature 0.8:\n{decode(sample, alphabet).strip()}\n")
    out = Path(arguments.out)
    picture = plot_losses(out / "log.jsonl", out / "loss.png", "nats per character")
    print(f"validation loss {result.validation_loss:.4f} nats per character at step {result.step}")
    files = [str(path) for path in (result.checkpoint, out / "log.jsonl", picture) if path]
    print(f"results: {', '.join(files)}")


if __name__ == "__main__":
    main()
