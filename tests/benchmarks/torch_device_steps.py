"""The training steps of PyTorch eager on a device: the loss stays there, so that nothing waits."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_steps import make_model, make_optimizer
from workloads import MAX_NORM, WORKLOADS, Batches

torch.set_float32_matmul_precision("highest")  # no TF32: the other side has none either
torch.backends.cudnn.allow_tf32 = False


class DeviceStep:
    """One training step on the next batch; it returns the loss, unread."""

    def __init__(self, workload: str, device: str) -> None:
        self.device = torch.device("cuda" if device == "cuda" else "cpu")
        shape = WORKLOADS[workload]
        self.model = make_model(shape).to(self.device)
        self.optimizer = make_optimizer(self.model)
        self.batches = Batches(shape)

    def __call__(self) -> Tensor:
        """Make the step."""
        host = (torch.from_numpy(array) for array in self.batches.take())
        inputs, targets = (tensor.to(self.device) for tensor in host)
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.model(inputs).flatten(0, -2), targets.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), MAX_NORM)
        self.optimizer.step()
        return loss.detach()

    def synchronize(self) -> None:
        """Wait until the device has done what it was asked for."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def device_mb(self) -> float:
        """The most that PyTorch's memory pool has held, in MB."""
        return torch.cuda.max_memory_reserved() / 1e6 if self.device.type == "cuda" else 0.0
