// SPDX-License-Identifier: MIT
//
// What machine this is, and what else is going on there.
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include <stdint.h>
#include <stdio.h>

// CPU time so far, in seconds.
struct bench_load {
    double wall;
    double own;
    double others; // all other processes, interrupts, and what a hypervisor took
};

void bench_load_now(struct bench_load *out);

// What happened to this process so far.
struct bench_events {
    uint64_t faults;    // page faults that needed no disk
    uint64_t preempted; // involuntary context switches
    double cpu;         // seconds, all threads
};

void bench_events_now(struct bench_events *out);

// Kilobytes resident now.
uint64_t bench_resident_kb(void);

unsigned bench_cpus(void);

// One JSON object.
void bench_machine_json(FILE *out);

#endif
