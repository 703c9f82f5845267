// SPDX-License-Identifier: MIT
//
// A JACK client with two ports, whose samples are the number of the frame in the server's time, as
// zcb-record's ramp has it: whoever listens can tell which frames he got. Until it is killed.
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <jack/jack.h>

static jack_client_t *client;
static jack_port_t *ports[2];

static int
process(jack_nframes_t frames, void *ctx)
{
    const uint32_t now = jack_last_frame_time(client);

    (void)ctx;
    for (uint32_t c = 0; c < 2; c++) {
        float *out = jack_port_get_buffer(ports[c], frames);

        for (uint32_t i = 0; i < frames; i++) {
            int32_t low = (int32_t)((2 * (now + i) + c) << 8) >> 8;

            out[i] = (float)low / (float)(1 << 23);
        }
    }
    return 0;
}

int
main(void)
{
    client = jack_client_open("ramp", JackNoStartServer, NULL);
    if (client == NULL)
        return 1;
    ports[0] = jack_port_register(client, "left", JACK_DEFAULT_AUDIO_TYPE, JackPortIsOutput, 0);
    ports[1] = jack_port_register(client, "right", JACK_DEFAULT_AUDIO_TYPE, JackPortIsOutput, 0);
    if (ports[0] == NULL || ports[1] == NULL ||
        jack_set_process_callback(client, process, NULL) != 0 || jack_activate(client) != 0)
        return 1;
    puts("playing");
    fflush(stdout);
    for (;;)
        pause();
}
