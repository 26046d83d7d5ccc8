"""Bringing an array to another device, through which gradients come back."""

from tinytrain import backend
from tinytrain.autograd import Function
from tinytrain.backend import Array


class ToHost(Function):
    """z = x in host memory;  dL/dx = g, back on the device of x."""

    rearranges = True

    def forward(self, x: Array) -> Array:
        """Copy; this waits for the device."""
        self.save(backend.xp_of(x))
        return backend.to_host(x)

    def backward(self, gradient: Array) -> Array:
        """Copy the gradient back to where the input is."""
        (library,) = self.saved
        return library.asarray(gradient)


class ToDevice(Function):
    """z = x on the chosen device;  dL/dx = g, back in host memory."""

    rearranges = True

    def forward(self, x: Array) -> Array:
        """Copy."""
        return backend.to_device(x)

    def backward(self, gradient: Array) -> Array:
        """Copy the gradient back to the host."""
        return backend.to_host(gradient)
