"""Forecast where the Earth's pole will be in the next half year, and see what a leak would claim.

    python examples/forecast.py            # about fifteen seconds
    python examples/forecast.py --quick    # a few seconds, with a narrower network

The Earth turns about an axis that does not stand still in it: the pole draws a spiral of some ten
metres, a circle of a year (air and water move with the seasons) and one of 433 days (Chandler's,
the Earth's own wobble) on top of each other. Satellite navigation needs it in advance. The data are
two columns, the pole's place in metres every ten days from 1962 to 2024: the series 20 C04 of the
International Earth Rotation and Reference Systems Service (Paris Observatory), which the package
astropy-iers-data ships (BSD 3-Clause licence).

The model reads two years and forecasts 180 days. It has to beat three forecasts that learn nothing:
the pole stays where it is; it does what it did a year ago; it does what it did after the most
similar stretch of the training data. The last one cannot do much but copy, and so it gives away a
split that leaks: at random, nearly every test window has a twin in the training data. Both splits
are tested on the same windows, a half of those at the end of the series, so that nothing differs
but what the methods were allowed to see. The run ends with a table of all this, and says below it
whether it came out so.
"""

from pathlib import Path

import numpy as np
from astropy_iers_data import IERS_B_FILE
from plots import plot_losses, plt

import tinytrain as tt
from tinytrain.data import (
    DataLoader,
    DisjointWindowBatchSampler,
    StandardScaler,
    Subset,
    WindowDataset,
    chronological_split,
    covered_rows,
)

METRES_PER_ARCSECOND = 6_371_000 * np.pi / (180 * 3600)
FIRST_DAY, END = 37665, 60676  # modified Julian days: 1 January of 1962 and of 2025
DAYS = 10  # from one row of the series to the next
INPUT_LENGTH, HORIZON = 73, 18  # two years and half a year, in rows
YEAR = 365.25 / DAYS
FRACTIONS = (0.7, 0.1, 0.2)  # training, validation, test

DEFAULTS = {
    "batch_size": 17,  # no more windows of 91 rows lie side by side in the 1,611 training rows
    "max_steps": 1200,
    "lr": 2e-3,
    "weight_decay": 0.05,
    "warmup_steps": 50,
    "log_every": 50,
    "eval_every": 200,
    "out": "runs/forecast",
}
QUICK = {
    "max_steps": 150,
    "warmup_steps": 10,
    "log_every": 50,
    "eval_every": 50,
    "hidden": 32,
    "out": "runs/forecast_quick",
}


def load_pole() -> np.ndarray:
    """Return the pole's place in metres, (rows, 2): towards Greenwich, and towards 90 degrees west.

    The package is renewed every week; the days chosen here stay the same.
    """
    days, x, y = np.loadtxt(IERS_B_FILE, comments="#", usecols=(4, 5, 6), unpack=True)
    chosen = (days >= FIRST_DAY) & (days < END)
    if not np.array_equal(days[chosen], np.arange(FIRST_DAY, END)):
        raise SystemExit(f"error: {IERS_B_FILE} does not have a row for each day as it used to")
    return METRES_PER_ARCSECOND * np.stack([x, y], axis=1)[chosen][::DAYS]


class Forecaster(tt.nn.Module):
    """Forecasts the way from the last input on: the same for a spiral around any centre."""

    def __init__(self, columns: int, hidden: int) -> None:
        super().__init__()
        self.layers = tt.nn.Sequential(
            tt.nn.Flatten(),
            tt.nn.Linear(INPUT_LENGTH * columns, hidden),
            tt.nn.GELU(),
            tt.nn.Linear(hidden, hidden),
            tt.nn.GELU(),
            tt.nn.Linear(hidden, HORIZON * columns),
        )

    def forward(self, inputs: tt.Tensor) -> tt.Tensor:
        """Return targets (n, HORIZON, columns) for inputs (n, INPUT_LENGTH, columns)."""
        last = inputs[:, -1:]
        return self.layers(inputs - last).reshape(len(inputs), HORIZON, -1) + last


def forecast_loss(model: tt.nn.Module, batch: list[tt.Tensor]) -> tuple[tt.Tensor, int]:
    """Return the sum of the squared errors of all forecast values, and their number."""
    inputs, targets = batch
    loss = tt.nn.functional.mse_loss(model(inputs), targets, reduction="sum")
    return loss, targets.numel()


def fields(part: Subset) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs (n, INPUT_LENGTH, 2) and targets (n, HORIZON, 2) of all windows of a part."""
    return part.__getitems__(range(len(part))).arrays


def persistence(inputs: np.ndarray) -> np.ndarray:
    """The pole stays where it is."""
    return np.repeat(inputs[:, -1:], HORIZON, axis=1)


def seasonal_persistence(inputs: np.ndarray) -> np.ndarray:
    """The pole does what it did a year ago."""
    year = round(YEAR)
    return inputs[:, INPUT_LENGTH - year : INPUT_LENGTH - year + HORIZON]


def most_similar(training: Subset, inputs: np.ndarray) -> np.ndarray:
    """The pole goes on as after that training window which is most like the inputs."""
    known, answers = fields(training)
    paths = (known - known[:, -1:]).reshape(len(known), -1)
    asked = (inputs - inputs[:, -1:]).reshape(len(inputs), -1)
    distances = (paths**2).sum(axis=1) - 2 * asked @ paths.T  # but for what all have in common
    nearest = distances.argmin(axis=1)
    return answers[nearest] - known[nearest, -1:] + inputs[:, -1:]


def in_metres(forecast: np.ndarray, targets: np.ndarray) -> float:
    """Return the root of the mean squared distance between forecast and truth."""
    return float(np.sqrt(((forecast - targets) ** 2).sum(axis=-1).mean()))


def split_at_random(parts, seed: int) -> tuple[list[Subset], list[Subset]]:
    """Return the split by time and one that leaks, as large, both with the same test windows.

    Tested is a half of the last part. The other split takes its training and validation windows
    from all that are left, the neighbours of the tested ones included.
    """
    windows = parts[0].dataset
    source = np.random.default_rng(seed)
    tested = source.permutation(parts[2].indices)[: len(parts[2]) // 2]
    others = source.permutation(np.setdiff1d(np.arange(len(windows)), tested)).tolist()
    training, validation = len(parts[0]), len(parts[1])
    test = Subset(windows, sorted(tested.tolist()))
    leaking = [Subset(windows, others[:training]), Subset(windows, others[training:][:validation])]
    return [parts[0], parts[1], test], [*leaking, test]


def train(parts, arguments, configuration=None, out=None) -> tuple[tt.Trainer, StandardScaler]:
    """Train on the first part, scaled by its own rows; validate on the second."""
    series = parts[0].dataset.series
    scaler = StandardScaler().fit(series[covered_rows(parts[0])])
    scaled = scaler.transform(series).astype(np.float32)
    windows = WindowDataset(scaled, INPUT_LENGTH, HORIZON)
    training, validation = (Subset(windows, part.indices) for part in parts[:2])
    tt.manual_seed(arguments.seed)
    model = Forecaster(series.shape[1], arguments.hidden)
    optimizer = tt.optim.AdamW(
        model.parameters(), lr=arguments.lr, weight_decay=arguments.weight_decay
    )
    sampler = DisjointWindowBatchSampler(training, arguments.batch_size, seed=arguments.seed)
    if out is not None:
        print("an epoch of training windows, no two of a batch with a row in common")
        print(f"{sampler.report()}\n")
    loader = DataLoader(training, batch_sampler=sampler)
    steps_per_epoch = -(-len(loader) // arguments.grad_accum)
    max_steps = arguments.max_steps or arguments.epochs * steps_per_epoch
    trainer = tt.Trainer(
        model,
        optimizer,
        forecast_loss,
        loader,
        max_steps=max_steps,
        accumulation_steps=arguments.grad_accum,
        schedule=tt.optim.WarmupCosine(
            optimizer, min(arguments.warmup_steps, max_steps), max_steps
        ),
        clip_grad_norm=arguments.clip_grad or None,
        validation_loader=DataLoader(validation, 256),
        eval_every=arguments.eval_every,
        log_every=arguments.log_every,
        save_every=arguments.save_every if out else None,
        out=out,
        config=configuration,
        item_name="values",
        progress=out is not None,
    )
    if out is not None and arguments.resume:
        found = trainer.resume(arguments.resume)
        print(f"resumed from {found} at step {trainer.step}" if found else "nothing to resume")
    trainer.fit()
    return trainer, scaler


def forecasts(model: tt.nn.Module, scaler: StandardScaler, parts) -> dict[str, np.ndarray]:
    """Return every method's forecasts for the test part, in metres."""
    inputs, _ = fields(parts[2])
    model.eval()
    with tt.no_grad():
        scaled = tt.from_numpy(scaler.transform(inputs).astype(np.float32))
        learnt = model(scaled).cpu().numpy()
    return {
        "stays where it is": persistence(inputs),
        "as a year ago": seasonal_persistence(inputs),
        "copies the most similar": most_similar(parts[0], inputs),
        "the network": scaler.inverse_transform(learnt),
    }


def verdict(errors: dict[str, float], claims: dict[str, float]) -> str:
    """Say in words what the table shows: of the network, and of the leak."""
    network, copies = "the network", "copies the most similar"
    others = {name: error for name, error in errors.items() if name != network}
    best = min(others, key=others.__getitem__)
    beats = "beats" if errors[network] < others[best] else "does not beat"
    flattered = [name for name in (copies, network) if claims[name] < errors[name]]
    names = " and ".join(f"'{name}'" for name in flattered) or "nobody"
    return (
        f"Split by time, the network {beats} all three that learn nothing: its error is "
        f"{errors[network]:.2f} m, and that of the best of them ('{best}') {others[best]:.2f} m.\n"
        f"On the same windows the random split flatters {names}: '{copies}' would claim "
        f"{claims[copies]:.2f} m instead of {errors[copies]:.2f} m."
    )


def plot_forecast(parts, found: dict[str, np.ndarray], picture: Path) -> Path | None:
    """Draw inputs, truth and forecasts of one test window; None where there is no matplotlib."""
    if plt is None:
        return None
    inputs, targets = fields(parts[2])
    distances = ((found["the network"] - targets) ** 2).sum(axis=(1, 2))
    number = np.argsort(distances)[len(distances) // 2]  # a forecast neither good nor bad
    inputs, targets = inputs[number], targets[number]
    figure, axes = plt.subplots(figsize=(6, 6), layout="constrained")
    axes.plot(*inputs.T, color="0.7", label="two years of input")
    axes.plot(*targets.T, "k", linewidth=3, label="the half year after it")
    for name, forecast in list(found.items())[1:]:
        axes.plot(*forecast[number].T, ".-", label=name)
    axes.set(xlabel="metres towards Greenwich", ylabel="metres towards 90° west", aspect="equal")
    axes.legend()
    figure.savefig(picture, dpi=150)
    plt.close(figure)
    return picture


def main() -> None:
    parser = tt.train.TrainingParser(__doc__.splitlines()[0], DEFAULTS, QUICK)
    parser.add_argument("--hidden", type=int, default=128, help="the width of the hidden layers")
    arguments = parser.parse_args()
    configuration = tt.train.start(arguments)
    out = Path(arguments.out)

    windows = WindowDataset(load_pole(), INPUT_LENGTH, HORIZON)
    split = chronological_split(windows, FRACTIONS)
    print(f"\nsplit by time\n{split}\n")
    split, leaking = split_at_random(split, arguments.seed)
    trainer, scaler = train(split, arguments, configuration, out)
    found = forecasts(trainer.model, scaler, split)
    truth = fields(split[2])[1]

    print("\nthe same once more, with windows split at random (which nobody should do) ...")
    leaking_trainer, leaking_scaler = train(leaking, arguments)
    claimed = forecasts(leaking_trainer.model, leaking_scaler, leaking)

    print(f"\nforecasts of the next {HORIZON * DAYS} days: the error in metres, and the skill,")
    print("1 - error / (the error of staying where it is)\n")
    print(f"{'':<24}  {'split by time':>17}  {'a random split claims':>23}")
    print(f"{'':<24}  {'error':>9}  {'skill':>6}  {'error':>15}  {'skill':>6}")
    errors = {name: in_metres(forecast, truth) for name, forecast in found.items()}
    claims = {name: in_metres(forecast, truth) for name, forecast in claimed.items()}
    base = errors["stays where it is"]
    for name, error in errors.items():
        claim = claims[name]
        print(
            f"{name:<24}  {error:>9.2f}  {1 - error / base:>6.2f}"
            f"  {claim:>15.2f}  {1 - claim / base:>6.2f}"
        )
    print(f"\n{verdict(errors, claims)}\n")
    pictures = (
        plot_losses(out / "log.jsonl", out / "loss.png", "squared error, scaled"),
        plot_forecast(split, found, out / "forecast.png"),
    )
    files = [str(p) for p in (trainer.last_checkpoint, out / "log.jsonl", *pictures) if p]
    print(f"results: {', '.join(files)}")


if __name__ == "__main__":
    main()
