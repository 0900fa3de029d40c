/* The mapped state, and what happens to every call before it does its work. */
#define _GNU_SOURCE
#include "driver.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HANG_POLL_MICROSECONDS 20000

enum hang { HANG_NOT, HANG_INTERRUPTIBLE, HANG_UNINTERRUPTIBLE };

static struct state *mapped;
static int initialized;
/* The version of this library: what the file said when the process loaded it. */
static char own_version[sizeof mapped->library_version];
static struct nvmlDevice_st gpu_handles[STATE_GPUS];
static struct nvmlDevice_st instance_handles[STATE_GPUS][STATE_INSTANCES];

static struct state *map_state(void)
{
    const char *path = getenv("RAILWATCH_NVML_STATE");
    struct stat found;
    void *memory;
    int file = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    if (file < 0)
        return NULL;
    if (fstat(file, &found) != 0 || found.st_size < (off_t)sizeof(struct state)) {
        close(file);
        return NULL;
    }
    memory = mmap(NULL, sizeof(struct state), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    return memory == MAP_FAILED ? NULL : memory;
}

static bool is_loaded(void)
{
    if (mapped != NULL)
        return true;
    struct state *found = map_state();
    if (found == NULL || found->magic != STATE_MAGIC || found->version != STATE_VERSION)
        return false;
    memcpy(own_version, found->library_version, sizeof own_version);
    for (int number = 0; number < STATE_GPUS; number++) {
        gpu_handles[number].gpu = &found->gpus[number];
        for (int place = 0; place < STATE_INSTANCES; place++) {
            instance_handles[number][place].gpu = &found->gpus[number];
            instance_handles[number][place].instance = &found->gpus[number].instances[place];
        }
    }
    mapped = found;
    return true;
}

struct state *state(void)
{
    return mapped;
}

int64_t monotonic_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

long long stamp_of(int64_t time)
{
    return (time + mapped->wall_offset) / 1000;
}

void pause_microseconds(uint32_t microseconds)
{
    struct timespec pause = {microseconds / 1000000, microseconds % 1000000 * 1000L};
    nanosleep(&pause, NULL);
}

static int64_t processor_time(void)
{
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
}

void work_microseconds(uint32_t microseconds)
{
    int64_t end = microseconds == 0 ? 0 : processor_time() + microseconds * 1000L;
    while (end != 0 && processor_time() < end)
        ;
}

/* Until the order is taken back; the uninterruptible kind waits inside the kernel for the answer of
   a file system that gives none (see stuck.py), and no signal ends it. */
static void hang_while(const struct fault *fault)
{
    struct stat unanswered;
    while (fault->hang == HANG_INTERRUPTIBLE)
        pause_microseconds(HANG_POLL_MICROSECONDS);
    if (fault->hang == HANG_UNINTERRUPTIBLE)
        (void)!stat(mapped->stuck_path, &unanswered);
}

static nvmlReturn_t suffer(struct fault *fault)
{
    __atomic_fetch_add(&fault->count, 1, __ATOMIC_RELAXED);
    if (fault->delay_microseconds != 0)
        pause_microseconds(fault->delay_microseconds);
    work_microseconds(fault->work_microseconds);
    hang_while(fault);
    return (nvmlReturn_t)fault->result;
}

static nvmlReturn_t driver_answers(void)
{
    if (!mapped->driver_loaded)
        return NVML_ERROR_DRIVER_NOT_LOADED;
    if (strcmp(own_version, mapped->kernel_version) != 0)
        return NVML_ERROR_LIB_RM_VERSION_MISMATCH;
    return NVML_SUCCESS;
}

nvmlReturn_t begin_init(enum call call)
{
    nvmlReturn_t result;
    if (!is_loaded())
        return NVML_ERROR_DRIVER_NOT_LOADED;
    result = suffer(&mapped->faults[call]);
    if (result == NVML_SUCCESS)
        result = driver_answers();
    if (result == NVML_SUCCESS)
        initialized++;
    return result;
}

nvmlReturn_t begin(enum call call)
{
    nvmlReturn_t result;
    if (initialized == 0)
        return NVML_ERROR_UNINITIALIZED;
    result = suffer(&mapped->faults[call]);
    return result == NVML_SUCCESS ? driver_answers() : result;
}

nvmlReturn_t begin_on(nvmlDevice_t device, enum call call)
{
    nvmlReturn_t result = begin(call);
    return result == NVML_SUCCESS ? reach(device, call) : result;
}

nvmlReturn_t reach(nvmlDevice_t device, enum call call)
{
    nvmlReturn_t result;
    if (device == NULL || device->gpu == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    result = suffer(&device->gpu->faults[call]);
    if (result != NVML_SUCCESS)
        return result;
    if (!device->gpu->present)
        return NVML_ERROR_GPU_IS_LOST;
    if (device->instance != NULL && !device->instance->present)
        return NVML_ERROR_NOT_FOUND;
    return (nvmlReturn_t)device->gpu->status;
}

nvmlReturn_t nvmlInit_v2(void)
{
    return begin_init(CALL_nvmlInit_v2);
}

nvmlReturn_t nvmlInitWithFlags(unsigned int flags)
{
    (void)flags;
    return begin_init(CALL_nvmlInitWithFlags);
}

nvmlReturn_t nvmlShutdown(void)
{
    if (initialized == 0)
        return NVML_ERROR_UNINITIALIZED;
    nvmlReturn_t result = suffer(&mapped->faults[CALL_nvmlShutdown]);
    if (result == NVML_SUCCESS)
        initialized--;
    return result;
}

nvmlDevice_t handle_of(struct gpu *gpu)
{
    return &gpu_handles[gpu - mapped->gpus];
}

nvmlDevice_t handle_of_instance(struct gpu *gpu, struct instance *instance)
{
    return &instance_handles[gpu - mapped->gpus][instance - gpu->instances];
}

nvmlReturn_t copy_text(const char *text, char *buffer, unsigned int length)
{
    NEED(buffer != NULL);
    if (strlen(text) >= length)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    strcpy(buffer, text);
    return NVML_SUCCESS;
}
