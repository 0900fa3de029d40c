/* Who computes or draws on a GPU, or on one MIG device of it. */
#include "driver.h"

enum kind { KIND_NONE, KIND_COMPUTE, KIND_GRAPHICS };

static bool is_on(const struct process *process, const struct instance *instance)
{
    return instance == NULL || (process->gpu_instance == instance->gpu_instance &&
                                process->compute_instance == instance->compute_instance);
}

static nvmlReturn_t list(nvmlDevice_t device, enum kind kind, unsigned int *count,
                         nvmlProcessInfo_t *infos)
{
    NEED(count != NULL);
    unsigned int room = *count;
    *count = 0;
    for (int place = 0; place < STATE_PROCESSES; place++) {
        const struct process *process = &device->gpu->processes[place];
        if (process->kind != kind || !is_on(process, device->instance))
            continue;
        if (infos != NULL && *count < room)
            infos[*count] = (nvmlProcessInfo_t){process->pid, process->memory,
                                                process->gpu_instance, process->compute_instance};
        ++*count;
    }
    return *count > room ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t device, unsigned int *count,
                                                     nvmlProcessInfo_t *infos)
{
    BEGIN_ON_ANY(device, nvmlDeviceGetComputeRunningProcesses_v3);
    return list(device, KIND_COMPUTE, count, infos);
}

nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses_v3(nvmlDevice_t device, unsigned int *count,
                                                      nvmlProcessInfo_t *infos)
{
    BEGIN_ON_ANY(device, nvmlDeviceGetGraphicsRunningProcesses_v3);
    return list(device, KIND_GRAPHICS, count, infos);
}
