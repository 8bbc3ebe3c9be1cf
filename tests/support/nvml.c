/*
 * Stands in for NVIDIA's libnvidia-ml.so.1. Answers as NVML does (docs.nvidia.com/deploy/nvml-api), from the file that
 * NVML_STANDIN names, which is read again at each call. Each line has fields separated by tabs; nvml.py writes it.
 *
 *   hang FUNCTION             the call never returns
 *   fail FUNCTION CODE        it returns this code
 *   gpu  KEY=VALUE...         a board: uuid name total reserved used bus mig slots util lost handle
 *   mig  KEY=VALUE...         a MIG device of the board above: uuid name total used gi ci
 *   process PID               a process that computes on the board or MIG device above
 *
 * With OLDER it has what drivers before R510 have: no call in its third version, no second one for memory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7,
       ARGUMENT_VERSION_MISMATCH = 25 };
#define MOST 8
#define MEBIBYTE (1024ULL * 1024ULL)
#define SAMPLES 100
#define SAMPLE_EVERY 166666ULL
#define MEMORY_V2 0x02000028u

typedef struct {
    char uuid[96], name[96], bus[32];
    unsigned long long total, used, reserved;
    int mig, slots, util, lost, handle, gi, ci, parent;
    unsigned pids[MOST];
    unsigned count;
} gpu_t;

/* Boards first, at their indexes; MIG devices behind them. A handle is the address of one of them. */
static gpu_t boards[MOST], parts[MOST * MOST];
static unsigned board_count, part_count;

typedef gpu_t *device_t;
typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory_v2_t;
typedef struct { unsigned pid; unsigned long long used; unsigned gi, ci; } process_t;
typedef struct { unsigned gpu, memory; } utilization_t;
typedef struct { unsigned long long at; union { double d; unsigned u; unsigned long long ull; } value; } sample_t;
typedef struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; } pci_t;

static const char *value_of(const char *line, const char *key, char *into, size_t size)
{
    char wanted[32];
    snprintf(wanted, sizeof wanted, "\t%s=", key);
    const char *found = strstr(line, wanted);
    if (!found)
        return NULL;
    found += strlen(wanted);
    size_t length = strcspn(found, "\t\n");
    if (length >= size)
        length = size - 1;
    memcpy(into, found, length);
    into[length] = 0;
    return into;
}

static long long number_of(const char *line, const char *key, long long otherwise)
{
    char text[32];
    return value_of(line, key, text, sizeof text) ? strtoll(text, NULL, 10) : otherwise;
}

static void fill(gpu_t *gpu, const char *line)
{
    memset(gpu, 0, sizeof *gpu);
    value_of(line, "uuid", gpu->uuid, sizeof gpu->uuid);
    value_of(line, "name", gpu->name, sizeof gpu->name);
    value_of(line, "bus", gpu->bus, sizeof gpu->bus);
    gpu->total = number_of(line, "total", 0) * MEBIBYTE;
    gpu->used = number_of(line, "used", 0) * MEBIBYTE;
    gpu->reserved = number_of(line, "reserved", 0) * MEBIBYTE;
    gpu->mig = number_of(line, "mig", -1);
    gpu->slots = number_of(line, "slots", 0);
    gpu->util = number_of(line, "util", 0);
    gpu->lost = number_of(line, "lost", 0);
    gpu->handle = number_of(line, "handle", 0);
    gpu->gi = number_of(line, "gi", 0);
    gpu->ci = number_of(line, "ci", 0);
}

/* Reads the file; returns what the function is to return at once, or SUCCESS. */
static int begin(const char *function)
{
    char line[1024], name[128];
    int code, answer = SUCCESS;
    gpu_t *last = NULL;
    FILE *file = fopen(getenv("NVML_STANDIN"), "re");
    board_count = part_count = 0;
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "hang\t%127s", name) == 1 && !strcmp(name, function))
            for (;;)
                pause();
        if (sscanf(line, "fail\t%127[^\t]\t%d", name, &code) == 2 && !strcmp(name, function))
            answer = code;
        if (!strncmp(line, "gpu\t", 4))
            fill(last = &boards[board_count++], line);
        if (!strncmp(line, "mig\t", 4)) {
            fill(last = &parts[part_count++], line);
            last->parent = board_count - 1;
        }
        if (!strncmp(line, "process\t", 8) && last)
            last->pids[last->count++] = strtoul(line + 8, NULL, 10);
    }
    if (file)
        fclose(file);
    return answer;
}

static int is_part(device_t device) { return device >= parts && device < parts + MOST * MOST; }

#define BEGIN()                                                                                                        \
    do {                                                                                                               \
        int answer_ = begin(__func__);                                                                                 \
        if (answer_)                                                                                                   \
            return answer_;                                                                                            \
    } while (0)
/* Of a device: a lost one answers nothing. */
#define BEGIN_OF(device)                                                                                               \
    do {                                                                                                               \
        BEGIN();                                                                                                       \
        if ((device)->lost)                                                                                            \
            return (device)->lost;                                                                                     \
    } while (0)

int nvmlInitWithFlags(unsigned flags) { (void)flags; BEGIN(); return SUCCESS; }
int nvmlShutdown(void) { BEGIN(); return SUCCESS; }
const char *nvmlErrorString(int code) { (void)code; return "an error of the stand-in"; }

int nvmlDeviceGetCount_v2(unsigned *count) { BEGIN(); *count = board_count; return SUCCESS; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, device_t *device)
{
    BEGIN();
    if (index >= board_count)
        return INVALID_ARGUMENT;
    *device = &boards[index];
    return boards[index].handle;
}

static int text(const char *from, char *into, unsigned size)
{
    if (strlen(from) >= size)
        return INSUFFICIENT_SIZE;
    strcpy(into, from);
    return SUCCESS;
}

int nvmlDeviceGetUUID(device_t device, char *uuid, unsigned size) { BEGIN_OF(device); return text(device->uuid, uuid, size); }
int nvmlDeviceGetName(device_t device, char *name, unsigned size) { BEGIN_OF(device); return text(device->name, name, size); }

int nvmlDeviceGetPciInfo_v3(device_t device, pci_t *pci)
{
    BEGIN_OF(device);
    memset(pci, 0, sizeof *pci);
    sscanf(device->bus, "%x:%x:%x", &pci->domain, &pci->bus, &pci->device);
    return text(device->bus, pci->bus_id, sizeof pci->bus_id);
}

int nvmlDeviceGetMemoryInfo(device_t device, memory_t *memory)
{
    BEGIN_OF(device);
    if (!device->total)
        return NOT_SUPPORTED; /* of a GPU that shares the machine's memory */
    *memory = (memory_t){device->total, device->total - device->used - device->reserved, device->used + device->reserved};
    return SUCCESS;
}

#ifndef OLDER
int nvmlDeviceGetMemoryInfo_v2(device_t device, memory_v2_t *memory)
{
    BEGIN_OF(device);
    if (memory->version != MEMORY_V2)
        return ARGUMENT_VERSION_MISMATCH;
    if (!device->total)
        return NOT_SUPPORTED;
    memory->total = device->total;
    memory->reserved = device->reserved;
    memory->used = device->used;
    memory->free = device->total - device->used - device->reserved;
    return SUCCESS;
}
#endif

int nvmlDeviceGetMigMode(device_t device, unsigned *current, unsigned *pending)
{
    BEGIN_OF(device);
    if (device->mig < 0)
        return NOT_SUPPORTED;
    *current = *pending = device->mig;
    return SUCCESS;
}

int nvmlDeviceGetMaxMigDeviceCount(device_t device, unsigned *count)
{
    BEGIN_OF(device);
    *count = device->slots;
    return SUCCESS;
}

int nvmlDeviceGetMigDeviceHandleByIndex(device_t device, unsigned index, device_t *part)
{
    BEGIN_OF(device);
    for (unsigned n = 0; n < part_count; n++)
        if (&boards[parts[n].parent] == device && !index--) {
            *part = &parts[n];
            return SUCCESS;
        }
    return NOT_FOUND;
}

int nvmlDeviceGetGpuInstanceId(device_t device, unsigned *id) { BEGIN_OF(device); *id = device->gi; return SUCCESS; }
int nvmlDeviceGetComputeInstanceId(device_t device, unsigned *id) { BEGIN_OF(device); *id = device->ci; return SUCCESS; }

static int processes(device_t device, unsigned *room, process_t *found)
{
    unsigned count = device->count;
    if (*room < count) {
        *room = count;
        return INSUFFICIENT_SIZE;
    }
    *room = count;
    for (unsigned n = 0; n < count; n++) {
        found[n] = (process_t){device->pids[n], 100 * MEBIBYTE, ~0u, ~0u};
        if (is_part(device)) {
            found[n].gi = device->gi;
            found[n].ci = device->ci;
        }
    }
    return SUCCESS;
}

int nvmlDeviceGetComputeRunningProcesses_v2(device_t device, unsigned *count, process_t *found)
{
    BEGIN_OF(device);
    return processes(device, count, found);
}

#ifndef OLDER
int nvmlDeviceGetComputeRunningProcesses_v3(device_t device, unsigned *count, process_t *found)
{
    BEGIN_OF(device);
    return processes(device, count, found);
}
#endif

int nvmlDeviceGetUtilizationRates(device_t device, utilization_t *rates)
{
    BEGIN_OF(device);
    if (is_part(device) || device->mig > 0)
        return NOT_SUPPORTED;
    *rates = (utilization_t){device->util, device->util / 2};
    return SUCCESS;
}

int nvmlDeviceGetSamples(device_t device, int type, unsigned long long since, int *value_type, unsigned *count,
                         sample_t *samples)
{
    BEGIN_OF(device);
    if (is_part(device) || device->mig > 0)
        return NOT_SUPPORTED;
    if (type != 1)
        return INVALID_ARGUMENT;
    *value_type = 1;
    if (!samples) {
        *count = SAMPLES;
        return SUCCESS;
    }
    struct timeval now;
    gettimeofday(&now, NULL);
    unsigned long long last = (now.tv_sec * 1000000ULL + now.tv_usec) / SAMPLE_EVERY, n = 0;
    for (unsigned long long at = last - SAMPLES + 1; at <= last && n < *count; at++)
        if (at * SAMPLE_EVERY > since) {
            samples[n].at = at * SAMPLE_EVERY;
            samples[n++].value.u = device->util;
        }
    *count = n;
    return n ? SUCCESS : NOT_FOUND;
}
