"""A stand-in for libnvidia-ml.so.1 on which the unmodified pynvml runs, and the stage it plays on.

    from support.nvml import Activity, Stage, build, h100

    with Stage(tmp_path / "nvml", [h100()] * 8) as stage:
        subprocess.Popen([...], env={**os.environ, **stage.environment()})

`environment()` names the library (LD_LIBRARY_PATH) and the state file; the loader reads the former
when a process starts, so programs on the stage are children. `build(without=[…])` makes a library
that lacks symbols, for `environment(library)`: what an older driver does not have.

Live, from the test's process, while the program runs:

    gpu = stage.gpus[3]
    gpu.values.temperature = 83             # any field of layout.Gpu: what the driver reads
    gpu.repeat((Activity.COMPUTE, 0.3), (Activity.COMMUNICATION, 0.1))      # a training job's steps
    gpu.perform(Activity.STALLED)           # from now on: a collective waits, the kernel spins
    gpu.play((Activity.COMPUTE, 1.5), (Activity.IDLE, 0.0))                 # once, the last goes on
    gpu.fail("nvmlDeviceGetPowerUsage", pynvml.NVML_ERROR_NOT_SUPPORTED)    # by C symbol
    gpu.hang("nvmlDeviceGetUtilizationRates")   # never returns, until heal() of the same call
    gpu.delay("nvmlDeviceGetName", 0.002)
    gpu.delay_all(50e-6)                    # what a real driver costs
    gpu.heal("nvmlDeviceGetPowerUsage")
    gpu.lose(), gpu.lose(pynvml.NVML_ERROR_RESET_REQUIRED), gpu.fall_off_the_bus(), gpu.recover()
    gpu.count("nvmlDeviceGetPcieThroughput")    # how often it was called

`fail`, `delay`, `hang`, `heal`, `count` of the stage itself are for the whole driver, calls without
a GPU included; a call on a GPU is counted in both. `stage.unload_driver()`, `load_driver()`,
`upgrade_driver("580.1")` (running programs mismatch), `upgrade_packages("580.1")` (new ones do).
An activity is one of `Activity` with the model's levels (`gpu.profile.levels`) or `Levels(…)`;
`gpu.timeline.mean("sm", start_ns, end_ns)` is what an ideal instrument would have said.
"""

from support.nvml.building import build
from support.nvml.profiles import Profile, a100, h100
from support.nvml.stage import STATE_VARIABLE, Gpu, Stage
from support.nvml.timeline import Activity, Levels, Phase, Timeline

__all__ = [
    "STATE_VARIABLE",
    "Activity",
    "Gpu",
    "Levels",
    "Phase",
    "Profile",
    "Stage",
    "Timeline",
    "a100",
    "build",
    "h100",
]
