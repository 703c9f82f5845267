// SPDX-License-Identifier: MIT
//
// What the example programs share on the side of people: messages, arguments, signals, time.
#ifndef EXAMPLES_CLI_H
#define EXAMPLES_CLI_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

// Exit codes of all programs here.
enum exit_code {
    EXIT_DONE = 0,
    EXIT_INTERNAL = 1,    // out of memory, or the system refused something
    EXIT_USAGE = 2,       // arguments
    EXIT_TORRENT = 3,     // the .torrent cannot be read, or is not valid
    EXIT_STORAGE = 4,     // files: disk full, no permission, missing data
    EXIT_UNREACHABLE = 5, // no peer could be reached
    EXIT_BAD_PEERS = 6,   // the peers broke the protocol or sent wrong data
    EXIT_GONE = 7,        // the peers have gone, fell silent, or lack what is missing
    EXIT_CAPTURE = 8,     // the capture file cannot be read, or is damaged
    EXIT_PERMISSION = 9,  // the right to open packet sockets is missing
    EXIT_INTERFACE = 10,  // no such interface, or not one that the program works on
    EXIT_IMAGE = 11,      // an image cannot be read, is damaged, or is too large
    EXIT_STOPPED = 130,   // SIGINT or SIGTERM
};

// "program: message" on standard error; clears a progress bar that stands on the line.
extern const char *program_name;
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Descriptors 0 to 2 that are closed lead to /dev/null from here on: a file that is opened later
// must not get one of these numbers, or messages would be written into it. The first call of
// main().
void standard_descriptors(void);

// Sends off what is left for standard output. Returns `code`; if the output did not arrive and
// `code` is EXIT_DONE: EXIT_INTERNAL, after a message.
enum exit_code finish_output(enum exit_code code);

// Bytes of the UTF-8 character at the beginning of `text`; 0: it is none (or the end).
size_t utf8_length(const char *text);

// A text that came from elsewhere, without what a terminal would act on: control characters (U+0080
// to U+009F are some as well) and bytes that are no UTF-8 become '?'. Static; four at a time.
const char *printable(const char *text);

// "4096", "16K", "256M", "1G"; false: not that, or below `low` or above `high`.
bool parse_size(const char *text, uint64_t low, uint64_t high, uint64_t *out);

// "127.0.0.1:6881", "[::1]:6881", "host.example:6881". false: `why` (256 bytes).
bool parse_address(const char *text, struct sockaddr_storage *out, socklen_t *len, char *why);

// The other way round, numbers only. Static.
const char *address_text(const struct sockaddr *address);

uint64_t now_ms(void);
double now_seconds(void);
double cpu_seconds(void); // of this process, user and system

// SIGINT and SIGTERM set stop_requested; a loop looks at it often enough that one that comes right
// before it sleeps does no harm. SIGPIPE and SIGXFSZ are ignored.
void signals_init(void);
extern volatile sig_atomic_t stop_requested;

#endif
