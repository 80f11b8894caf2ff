"""Slots of GPUs for workers. A device has one slot or several, and one worker on this machine holds each slot.

A worker takes a slot before its trial process starts. That process sees only the device of the slot
(``CUDA_VISIBLE_DEVICES``). A worker that finds no free slot runs its trials on the CPU. A slot is a lock on a local
file. The kernel releases it when its holder dies, so a kill cannot leak a slot.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from metahpo.exceptions import MissingDependencyError

VISIBLE = "CUDA_VISIBLE_DEVICES"
#: The driver's mark on a machine with an NVIDIA GPU.
DRIVER = Path("/proc/driver/nvidia/version")


@dataclass
class DeviceSlot:
    """A held slot.

    Attributes
    ----------
    device : str
        As ``CUDA_VISIBLE_DEVICES`` names it; empty for the CPU.
    lock : int or None
        File descriptor that holds the lock.
    """

    device: str
    lock: int | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Environment of a trial process that sees only this device."""
        return {VISIBLE: self.device}

    def release(self) -> None:
        """Release the slot."""
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None


def take_slot(devices: Sequence[str], per_device: int, folder: Path | None = None) -> DeviceSlot:
    """Take a free slot, or the CPU if there is none.

    Parameters
    ----------
    devices : sequence of str
        Devices to choose from, see :func:`visible_devices`.
    per_device : int
        Slots of each device. All devices get their first worker before one gets its second.
    folder : path, default=None
        Folder of the lock files, on this machine and not shared with others; None is one of this user's own under the
        temporary folder, so that all builds of a user on a machine share the slots out.
    """
    folder = folder or Path(tempfile.gettempdir()) / f"metahpo-devices-{os.getuid()}"
    if devices:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in range(per_device):
        for device in devices:
            name = f"{sha256(device.encode()).hexdigest()[:16]}-{number}.lock"
            lock = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return DeviceSlot(device, lock)
            except BlockingIOError:
                os.close(lock)
    return DeviceSlot("")


def visible_devices(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Devices that this process may use: those assigned to it (by Slurm, for example), else all of the machine.

    Raises
    ------
    MissingDependencyError
        The machine has an NVIDIA driver, but the package that asks it for its devices is not installed.
    """
    given = environment.get(VISIBLE)
    if given is not None:
        devices = [device.strip() for device in given.split(",")]
        # CUDA itself stops at the first that is none.
        end = next((i for i, device in enumerate(devices) if device in ("", "-1", "NoDevFiles")), len(devices))
        return devices[:end]
    return _devices_of_the_machine() if DRIVER.exists() else []


def _devices_of_the_machine() -> list[str]:
    """Unique names of all GPUs. Numbers may differ between the driver and CUDA."""
    try:
        import pynvml
    except ImportError as error:
        raise MissingDependencyError(
            "this machine has an NVIDIA GPU, and the package that finds it is not installed: pip install "
            f"'metahpo[gpu]', or name the devices in {VISIBLE} (empty for none)."
        ) from error
    pynvml.nvmlInit()
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        return [str(pynvml.nvmlDeviceGetUUID(handle)) for handle in handles]
    finally:
        pynvml.nvmlShutdown()
