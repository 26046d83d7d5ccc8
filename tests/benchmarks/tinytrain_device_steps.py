"""The training steps of tinytrain on a device: the loss stays there, so that nothing waits."""

from __future__ import annotations

from tinytrain_steps import make_model
from workloads import BETAS, EPSILON, LEARNING_RATE, MAX_NORM, WEIGHT_DECAY, WORKLOADS, Batches

import tinytrain as tt
import tinytrain.nn.functional as F
from tinytrain import Tensor, backend, nn, optim


class DeviceStep:
    """One training step on the next batch; it returns the loss, unread."""

    def __init__(self, workload: str, device: str) -> None:
        tt.set_device(device)
        tt.keep_freed_memory()
        shape = WORKLOADS[workload]
        self.model = make_model(shape)
        self.optimizer = optim.AdamW(
            self.model.parameters(), LEARNING_RATE, BETAS, EPSILON, WEIGHT_DECAY
        )
        self.batches = Batches(shape)
        self.device = device

    def __call__(self) -> Tensor:
        """Make the step."""
        inputs, targets = tt.to_device(self.batches.take())
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.model(inputs).flatten(0, -2), targets.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), MAX_NORM)
        self.optimizer.step()
        return loss

    def synchronize(self) -> None:
        """Wait until the device has done what it was asked for."""
        tt.synchronize()

    def device_mb(self) -> float:
        """What CuPy's memory pool holds, which never shrinks by itself: the peak, in MB."""
        if self.device != "cuda":
            return 0.0
        return float(backend.creation_library().get_default_memory_pool().total_bytes() / 1e6)
