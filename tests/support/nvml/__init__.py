"""A stand-in for libnvidia-ml.so.1 on which the unmodified pynvml runs, and the stage it plays on.

    from support.nvml import Activity, Stage, build, h100

    with Stage(tmp_path / "nvml", [h100()] * 8) as stage:
        subprocess.Popen([...], env={**os.environ, **stage.environment()})

`environment()` names the library (LD_LIBRARY_PATH) and the state file; the loader reads the former
when a process starts, so programs on the stage are children. `build(without=[...])` makes a library
that lacks symbols, for `environment(library)`: what an older driver does not have. Models are
`a100()`, `h100()`, `b200()` and `mig()`, an H100 in three instances.

Live, from the test's process, while the program runs:

    gpu = stage.gpus[3]
    gpu.values.temperature = 83             # any field of layout.Gpu: what the driver reads
    gpu.values.ecc_errors[1][0][2] += 1     # [uncorrected][volatile][DRAM], as nvml.h numbers them
    gpu.values.link_errors[17][0] += 1      # [link][replay]
    gpu.repeat((Activity.COMPUTE, 0.3), (Activity.COMMUNICATION, 0.1))      # a training job's steps
    gpu.perform(Activity.STALLED)           # from now on: a collective waits, the kernel spins
    gpu.play((Activity.COMPUTE, 1.5), (Activity.IDLE, 0.0))                 # once, the last goes on
    gpu.fail("nvmlDeviceGetPowerUsage", pynvml.NVML_ERROR_NOT_SUPPORTED)    # by C symbol
    gpu.fail_field(pynvml.NVML_FI_DEV_POWER_INSTANT, pynvml.NVML_ERROR_NOT_SUPPORTED)
    gpu.set_field(pynvml.NVML_FI_DEV_PCIE_COUNT_BAD_TLP, 7)     # one that nothing else determines
    gpu.hang("nvmlDeviceGetUtilizationRates")   # never returns, until heal() of the same call
    gpu.delay("nvmlDeviceGetName", 0.002)       # waits
    gpu.burden("nvmlDeviceGetName", 50e-6)      # costs processor time; see `costs.charge`
    gpu.heal("nvmlDeviceGetPowerUsage")
    gpu.lose(), gpu.lose(pynvml.NVML_ERROR_RESET_REQUIRED), gpu.fall_off_the_bus(), gpu.recover()
    gpu.xid(79); gpu.event(pynvml.nvmlEventTypeDoubleBitEccError)
    gpu.run(pid, memory, instance=0); gpu.end(pid); gpu.partition(Slice(...), ...)
    gpu.count("nvmlDeviceGetPcieThroughput")    # how often it was called

`fail`, `delay`, `burden`, `hang`, `heal`, `count` of the stage itself are for the whole driver,
calls without a GPU included; a call on a GPU is counted in both. `stage.unload_driver()`,
`load_driver()`, `upgrade_driver("580.1")` (running programs mismatch), `upgrade_packages("580.1")`
(new ones do). Another process that acts on the stage has `join(path)`, its GPUs; `Console` is a
program on it that evaluates what it is asked. A hang that not even SIGKILL ends:

    with StuckFileSystem() as stuck:        # from support.nvml.stuck
        stage.stuck_on(stuck.path)
        gpu.hang("nvmlDeviceGetName", uninterruptible=True)

An activity is one of `Activity` with the model's levels (`gpu.profile.levels`) or `Levels(...)`;
`gpu.timeline.mean("sm", start_ns, end_ns)` is what an ideal instrument would have said. What the
instruments make of it: utilisation is the share of its last whole period with a kernel, a spinning
collective included; power is a mean over the model's window, read every 100 ms; energy, bytes and
GPM move in steps of their periods. `values.*_period`, `_window` and `_lag` are theirs, in ns.
"""

from support.nvml.building import build
from support.nvml.gpu import Gpu
from support.nvml.profiles import Profile, Slice, a100, b200, h100, mig
from support.nvml.stage import STATE_VARIABLE, Stage, join
from support.nvml.timeline import Activity, Levels, Phase, Timeline

__all__ = [
    "STATE_VARIABLE",
    "Activity",
    "Gpu",
    "Levels",
    "Phase",
    "Profile",
    "Slice",
    "Stage",
    "Timeline",
    "a100",
    "b200",
    "build",
    "h100",
    "join",
    "mig",
]
