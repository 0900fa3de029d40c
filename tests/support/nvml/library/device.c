/* What a GPU is: names, addresses, capabilities. */
#include "driver.h"

#include <stdio.h>
#include <string.h>

/* A call that answers with one number of the state: its symbol, its type, and which. */
#define NUMBER_CALL(name, type, expression)            \
    nvmlReturn_t name(nvmlDevice_t device, type *value) \
    {                                                  \
        BEGIN_ON_GPU(device, name);                    \
        NEED(value != NULL);                           \
        *value = (type)gpu->expression;                \
        return NVML_SUCCESS;                           \
    }

NUMBER_CALL(nvmlDeviceGetMinorNumber, unsigned int, minor_number)
NUMBER_CALL(nvmlDeviceGetBoardId, unsigned int, board_id)
NUMBER_CALL(nvmlDeviceGetArchitecture, nvmlDeviceArchitecture_t, architecture)
NUMBER_CALL(nvmlDeviceGetPersistenceMode, nvmlEnableState_t, persistence)
NUMBER_CALL(nvmlDeviceGetPerformanceState, nvmlPstates_t, performance_state)
NUMBER_CALL(nvmlDeviceGetPowerManagementLimit, unsigned int, power_limit_milliwatts)
NUMBER_CALL(nvmlDeviceGetPowerManagementDefaultLimit, unsigned int, power_limit_milliwatts)
NUMBER_CALL(nvmlDeviceGetEnforcedPowerLimit, unsigned int, power_limit_milliwatts)
NUMBER_CALL(nvmlDeviceGetCurrentClocksThrottleReasons, unsigned long long, throttle_reasons)
NUMBER_CALL(nvmlDeviceGetCurrentClocksEventReasons, unsigned long long, throttle_reasons)
NUMBER_CALL(nvmlDeviceGetPcieReplayCounter, unsigned int, pcie_replays)
NUMBER_CALL(nvmlDeviceGetCurrPcieLinkWidth, unsigned int, pcie_width)
NUMBER_CALL(nvmlDeviceGetMaxPcieLinkWidth, unsigned int, pcie_max_width)
NUMBER_CALL(nvmlDeviceGetCurrPcieLinkGeneration, unsigned int, pcie_generation)
NUMBER_CALL(nvmlDeviceGetMaxPcieLinkGeneration, unsigned int, pcie_max_generation)
NUMBER_CALL(nvmlDeviceGetRetiredPagesPendingStatus, nvmlEnableState_t, retired_pending)
NUMBER_CALL(nvmlDeviceGetSupportedEventTypes, unsigned long long, event_types)

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned int length)
{
    BEGIN_ON_ANY(device, nvmlDeviceGetUUID);
    return copy_text(device->instance ? device->instance->uuid : device->gpu->uuid, uuid, length);
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned int length)
{
    BEGIN_ON_ANY(device, nvmlDeviceGetName);
    return copy_text(device->instance ? device->instance->name : device->gpu->name, name, length);
}

nvmlReturn_t nvmlDeviceGetSerial(nvmlDevice_t device, char *serial, unsigned int length)
{
    BEGIN_ON_GPU(device, nvmlDeviceGetSerial);
    return copy_text(gpu->serial, serial, length);
}

nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_t *pci)
{
    BEGIN_ON_GPU(device, nvmlDeviceGetPciInfo_v3);
    NEED(pci != NULL);
    memset(pci, 0, sizeof *pci);
    pci->domain = gpu->pci_domain;
    pci->bus = gpu->pci_bus;
    pci->device = gpu->pci_device;
    pci->pciDeviceId = gpu->pci_device_id;
    pci->pciSubSystemId = gpu->pci_subsystem_id;
    snprintf(pci->busId, sizeof pci->busId, "%08X:%02X:%02X.0", pci->domain, pci->bus, pci->device);
    snprintf(pci->busIdLegacy, sizeof pci->busIdLegacy, "%04X:%02X:%02X.0", pci->domain & 0xffff,
             pci->bus & 0xff, pci->device & 0xff);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCudaComputeCapability(nvmlDevice_t device, int *major, int *minor)
{
    BEGIN_ON_GPU(device, nvmlDeviceGetCudaComputeCapability);
    NEED(major != NULL && minor != NULL);
    *major = (int)gpu->capability_major;
    *minor = (int)gpu->capability_minor;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t device, nvmlTemperatureSensors_t sensor,
                                      unsigned int *temperature)
{
    BEGIN_ON_GPU(device, nvmlDeviceGetTemperature);
    NEED(sensor == NVML_TEMPERATURE_GPU && temperature != NULL);
    *temperature = gpu->temperature;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTemperatureV(nvmlDevice_t device, nvmlTemperature_t *temperature)
{
    BEGIN_ON_GPU(device, nvmlDeviceGetTemperatureV);
    NEED(temperature != NULL && temperature->sensorType == NVML_TEMPERATURE_GPU);
    if (temperature->version != nvmlTemperature_v1)
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    temperature->temperature = (int)gpu->temperature;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetClockInfo(nvmlDevice_t device, nvmlClockType_t type, unsigned int *clock)
{
    BEGIN_ON_GPU(device, nvmlDeviceGetClockInfo);
    NEED((unsigned int)type < STATE_CLOCKS && clock != NULL);
    *clock = gpu->clocks_megahertz[type];
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMaxClockInfo(nvmlDevice_t device, nvmlClockType_t type,
                                       unsigned int *clock)
{
    BEGIN_ON_GPU(device, nvmlDeviceGetMaxClockInfo);
    NEED((unsigned int)type < STATE_CLOCKS && clock != NULL);
    *clock = gpu->max_clocks_megahertz[type];
    return NVML_SUCCESS;
}
