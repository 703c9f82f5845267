// SPDX-License-Identifier: MIT
//
// zcb-thumb makes small images of large ones, within a limit on memory.
//
//     mapped file -> reader -> row -> scaler -> row -> writer -> 64 KiB -> file, renamed when whole
//                                 `-> scaler -> ...            one for each --size
//
// main        threads that take files in turn
// options     the command line
// job         one file: what it will take, a lease on that, and then the pipeline above
// target      one small image of it
// scale       rows into fewer and shorter rows
// jpeg, png, webp, avif    codecs, behind zcb-thumb-codec.h
// exif        which way up
// memory      what a job takes
// output      files that are there whole or not at all
// report      what people and programs get to see of it
#ifndef EXAMPLES_ZCB_THUMB_H
#define EXAMPLES_ZCB_THUMB_H

#include <sys/stat.h>

#include "cli.h"
#include "zcb-thumb-codec.h"
#include "zcb-thumb-scale.h"

#define MAX_SIZES 8
#define NAME_BYTES 256 // of a file name in a folder

// ---- options

struct size {
    uint32_t width, height; // what the small image is to fit in
};

struct options {
    char **files;
    size_t count;
    const char *folder;
    struct size sizes[MAX_SIZES];
    unsigned size_count;
    const struct codec *format;
    enum filter filter;
    uint64_t quality, jobs, max_mem, max_pixels, repeat;
    bool lock, lenient, json, quiet;
    bool decode; // into memory, and no files
    bool fresh;  // with new memory for each image, to compare with
};

// false: a message was printed, or (help) the help.
bool options_parse(int argc, char **argv, struct options *options, bool *help);

// ---- output files

// The folder, and which names are not to be written to.
struct folder {
    int fd;
    const char *path;
    struct identity {
        dev_t device;
        ino_t inode;
    } * inputs; // sorted
    size_t input_count;
    struct taken {
        char *name;
        size_t by; // of the inputs
    } * taken;     // sorted, the first input with a name before all others with it
    size_t taken_count;
};

// Opens it, or makes it. 0, or a negative errno after a message.
int folder_open(struct folder *folder, const struct options *options);
void folder_close(struct folder *folder);

struct output {
    struct folder *folder;
    char name[NAME_BYTES], temporary[NAME_BYTES];
    int fd; // -1: none
    struct memory *memory;
    struct block buffer;
    size_t used;
    uint64_t bytes;
    int error;
    char *why;
};

// A new file for options->files[input] at options->sizes[size], that nobody sees yet. Refused where
// another input of this run has a right to the name, or where the file of that name is an input.
int output_open(struct output *output, struct folder *folder, const struct options *options,
                size_t input, unsigned size, struct memory *memory, char *why);
uint8_t *output_space(struct output *output, size_t *len); // of the buffer, from its start
int output_filled(struct output *output, size_t len);      // of that space; SIZE_MAX: all
int output_write(struct output *output, const void *data, size_t len);
int output_error(const struct output *output); // 0: none so far
int output_flush(struct output *output);       // all is written; the name is not there yet
int output_publish(struct output *output);     // and now it is
void output_drop(struct output *output);       // after publish: nothing is left to do

// ---- one file

struct made {
    char name[NAME_BYTES];
    uint32_t width, height;
    uint64_t bytes;
};

struct outcome {
    size_t index; // of options->files
    int result;
    bool writing; // it is the output that cannot be made
    char why[WHY_BYTES];
    const char *codec, *kind; // NULL: it did not come to that
    uint32_t width, height;
    struct made made[MAX_SIZES];
    unsigned made_count;
    uint64_t round; // of --repeat
    uint64_t input_bytes, copied_bytes, decoded_bytes, leased_bytes, used_bytes, page_faults;
    bool damaged;
    double seconds, cpu;
};

struct report;

struct batch {
    const struct options *options;
    struct zcb_image_budget *budget;
    struct zcb_pool *pool;
    size_t keep; // of it, for the next image
    struct folder folder;
    struct report *report;
};

// All of it; outcomes go to the report. -ECANCELED: stopped.
int job_run(struct batch *batch, size_t index);

// ---- report

struct usage {
    uint64_t resident, peak, heap, faults; // bytes; VmHWM; what malloc has handed out
    double cpu, seconds;
};

struct usage usage_now(void);

struct report *report_open(const struct options *options, const struct usage *start);
void report_outcome(struct report *report, const struct outcome *outcome); // any thread
// The summary. EXIT_DONE, EXIT_STORAGE or EXIT_IMAGE.
enum exit_code report_close(struct report *report, struct batch *batch);

#endif
