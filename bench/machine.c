// SPDX-License-Identifier: MIT

#include "machine.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "harness.h"

static double
seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

void
bench_load_now(struct bench_load *out)
{
    // user, nice, system, idle, iowait, irq, softirq, steal: ticks since the machine started
    unsigned long long t[8] = {0};
    double busy = 0;
    struct rusage usage;
    FILE *stat = fopen("/proc/stat", "re");

    if (stat != NULL) {
        if (fscanf(stat, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1], &t[2], &t[3],
                   &t[4], &t[5], &t[6], &t[7]) == 8)
            busy = (double)(t[0] + t[1] + t[2] + t[5] + t[6] + t[7]) / (double)sysconf(_SC_CLK_TCK);
        fclose(stat);
    }
    getrusage(RUSAGE_SELF, &usage);
    out->wall = (double)bench_now_ns() / 1e9;
    out->own = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    out->others = busy - out->own;
}

void
bench_events_now(struct bench_events *out)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    out->faults = (uint64_t)usage.ru_minflt;
    out->preempted = (uint64_t)usage.ru_nivcsw;
    out->cpu = seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

uint64_t
bench_resident_kb(void)
{
    unsigned long long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "re");

    if (statm != NULL) {
        if (fscanf(statm, "%*u %llu", &pages) != 1)
            pages = 0;
        fclose(statm);
    }
    return pages * (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
}

unsigned
bench_cpus(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    return n > 0 ? (unsigned)n : 1;
}

static void
cpu_model(char *out, size_t room)
{
    char line[256];
    FILE *info = fopen("/proc/cpuinfo", "re");

    snprintf(out, room, "unknown");
    while (info != NULL && fgets(line, sizeof(line), info) != NULL) {
        char *value = strchr(line, ':');

        if (strncmp(line, "model name", 10) != 0 || value == NULL)
            continue;
        value[strcspn(value, "\n")] = '\0';
        snprintf(out, room, "%s", value + 2);
        break;
    }
    if (info != NULL)
        fclose(info);
}

void
bench_machine_json(FILE *out)
{
    char model[256];
    struct utsname system;

    cpu_model(model, sizeof(model));
    if (uname(&system) != 0)
        snprintf(system.release, sizeof(system.release), "unknown");
    fprintf(out, "{\"cpu\": \"%s\", \"cpus\": %u, \"kernel\": \"%s\", \"compiler\": \"%s\"}", model,
            bench_cpus(), system.release,
#if defined(__clang__)
            "clang " __clang_version__
#else
            "gcc " __VERSION__
#endif
    );
}
