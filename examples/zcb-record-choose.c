// SPDX-License-Identifier: MIT
//
// The backends that were built in, in the order in which --backend auto tries them; the generator
// is always there, and comes last.
#include <errno.h>
#include <string.h>

#include "zcb-record.h"

static const struct backend *const backends[] = {
#if HAVE_PIPEWIRE
    &backend_pipewire,
#endif
#if HAVE_PULSE
    &backend_pulse,
#endif
#if HAVE_JACK
    &backend_jack,
#endif
    &backend_tone,
};
#define BACKENDS (sizeof(backends) / sizeof(backends[0]))

const char *
backend_names(void)
{
    static char text[128];

    text[0] = '\0';
    for (size_t i = 0; i < BACKENDS; i++) {
        strcat(text, i == 0 ? "" : ", ");
        strcat(text, backends[i]->name);
    }
    return text;
}

static const struct backend *
find(const char *name)
{
    for (size_t i = 0; i < BACKENDS; i++)
        if (strcmp(name, backends[i]->name) == 0)
            return backends[i];
    say("--backend %s: is not built in; there are: auto, %s", printable(name), backend_names());
    return NULL;
}

static enum exit_code
exit_of(int error)
{
    switch (error) {
    case 0:
        return EXIT_DONE;
    case -ECONNREFUSED:
        return EXIT_UNREACHABLE;
    case -ENODEV:
        return EXIT_INTERFACE;
    case -EINVAL:
        return EXIT_USAGE;
    default:
        return EXIT_INTERNAL;
    }
}

const struct backend *
backend_choose(const struct options *options, struct capture *capture,
               struct zcb_audio_format *format, void **device, enum exit_code *code)
{
    const bool any = strcmp(options->backend, "auto") == 0;
    const struct backend *only = any ? NULL : find(options->backend);
    char why[BACKEND_WHY] = "";
    int worst = 0;

    *code = EXIT_USAGE;
    if (!any && only == NULL)
        return NULL;
    for (size_t i = 0; i < BACKENDS; i++) {
        const struct backend *backend = any ? backends[i] : only;
        int error;

        // Nobody waits for the next one.
        if (stop_requested) {
            *code = EXIT_STOPPED;
            return NULL;
        }
        // Who asked for a device does not want a tone in its place.
        if (any && backend == &backend_tone && options->wish.device != NULL)
            break;
        if (any && backend == &backend_tone)
            say("recording the built-in tone");
        error = backend->open(capture, &options->wish, format, device, why);
        *code = exit_of(error);
        if (error == 0)
            return backend;
        say("%s: %s", backend->name, printable(why));
        if (!any || (error != -ECONNREFUSED && error != -ENODEV))
            return NULL;
        worst = worst == 0 || error == -ENODEV ? error : worst;
    }
    *code = worst != 0 ? exit_of(worst) : EXIT_UNREACHABLE;
    if (worst == 0)
        say("no sound system was built in; there is --backend tone");
    return NULL;
}

static void
list_one(const char *name, const char *words)
{
    printf("%s\t%s\n", printable(name), printable(words));
}

enum exit_code
backend_list(const struct options *options)
{
    const bool any = strcmp(options->backend, "auto") == 0;
    const struct backend *only = any ? NULL : find(options->backend);
    enum exit_code code = EXIT_DONE;

    if (!any && only == NULL)
        return EXIT_USAGE;
    for (size_t i = 0; i < (any ? BACKENDS : 1); i++) {
        const struct backend *backend = any ? backends[i] : only;
        char why[BACKEND_WHY] = "";
        int error;

        if (any)
            printf("%s:\n", backend->name);
        error = backend->list(list_one, why);
        if (error != 0 && any)
            printf("(%s)\n", printable(why));
        else if (error != 0)
            say("%s: %s", backend->name, printable(why));
        if (error != 0 && !any)
            code = exit_of(error);
    }
    return code;
}
