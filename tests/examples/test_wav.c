// SPDX-License-Identifier: MIT
//
// The writer of WAV files around 4 GiB, with a file that is mostly a hole.
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "zcb-record.h"

#define GIB (UINT64_C(1) << 30)

static char path[64];

static int
make_file(void **state)
{
    (void)state;
    strcpy(path, "/tmp/zcb-wav.XXXXXX");
    close(mkstemp(path));
    return 0;
}

static int
remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

// The file as if `bytes` of samples had been written by now.
static void
pretend(struct wav *wav, uint64_t bytes)
{
    assert_int_equal(lseek(wav->fd, (off_t)(wav->header_bytes + bytes), SEEK_SET),
                     wav->header_bytes + bytes);
    wav->data_bytes = bytes;
}

static uint64_t
number(const uint8_t *at, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = bytes; i-- > 0;)
        value = value << 8 | at[i];
    return value;
}

static void
read_header(uint8_t header[WAV_HEADER_MAX])
{
    int fd = open(path, O_RDONLY);

    assert_int_equal(read(fd, header, WAV_HEADER_MAX), WAV_HEADER_MAX);
    close(fd);
}

static uint64_t
file_size(void)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return (uint64_t)st.st_size;
}

static void
a_file_becomes_rf64_when_it_passes_4_gib(void **state)
{
    const struct zcb_audio_format format = {.rate = 48000, .channels = 2, .sample = ZCB_AUDIO_S16};
    uint8_t header[WAV_HEADER_MAX], samples[8] = {1, 2, 3, 4, 5, 6, 7, 8}, back[8];
    struct iovec piece = {samples, 8};
    struct wav wav;
    int fd;

    (void)state;
    assert_int_equal(wav_create(&wav, path, &format, WAV_RIFF_MAX), 0);
    assert_true(wav.rewrites);
    assert_int_equal(wav.header_bytes, 80);
    // The longest that is still RIFF: what is behind the first 8 bytes has 2^32 - 4.
    pretend(&wav, UINT32_MAX - 3 - 72 - 8);
    assert_int_equal(wav_append(&wav, &piece, 1), 0);
    assert_int_equal(wav_mend(&wav), 0);
    read_header(header);
    assert_memory_equal(header, "RIFF", 4);
    assert_int_equal(number(header + 4, 4), UINT32_MAX - 3);
    assert_memory_equal(header + 12, "JUNK", 4);
    assert_int_equal(number(header + 76, 4), UINT32_MAX - 3 - 72);
    // A frame more.
    piece = (struct iovec){samples, 4};
    assert_int_equal(wav_append(&wav, &piece, 1), 0);
    assert_int_equal(wav_mend(&wav), 0);
    read_header(header);
    assert_memory_equal(header, "RF64\xff\xff\xff\xffWAVEds64\x1c\0\0\0", 20);
    assert_int_equal(number(header + 20, 8), UINT64_C(0x100000000)); // the RIFF size
    assert_int_equal(number(header + 28, 8), UINT64_C(0x100000000) - 72);
    assert_int_equal(number(header + 36, 8), (UINT64_C(0x100000000) - 72) / 4);
    assert_int_equal(number(header + 44, 4), 0);
    assert_memory_equal(header + 48, "fmt ", 4);
    assert_memory_equal(header + 72, "data\xff\xff\xff\xff", 8);
    pretend(&wav, 5 * GIB);
    piece = (struct iovec){samples, 8};
    assert_int_equal(wav_append(&wav, &piece, 1), 0);
    assert_int_equal(wav_close(&wav), 0);
    assert_int_equal(file_size(), 5 * GIB + 80 + 8);
    read_header(header);
    assert_int_equal(number(header + 28, 8), 5 * GIB + 8);
    assert_int_equal(number(header + 20, 8), 5 * GIB + 80);
    fd = open(path, O_RDONLY);
    assert_int_equal(pread(fd, back, 8, (off_t)(5 * GIB + 80)), 8);
    assert_memory_equal(back, samples, 8);
    close(fd);
}

static void
a_length_that_is_odd_is_padded_beyond_4_gib_too(void **state)
{
    const struct zcb_audio_format format = {.rate = 48000, .channels = 1, .sample = ZCB_AUDIO_S24};
    uint8_t header[WAV_HEADER_MAX];
    struct wav wav;

    (void)state;
    assert_int_equal(wav_create(&wav, path, &format, WAV_RIFF_MAX), 0);
    assert_int_equal(wav.header_bytes, 104);
    pretend(&wav, 3 * (2 * GIB + 1));
    assert_int_equal(wav_close(&wav), 0);
    read_header(header);
    assert_memory_equal(header, "RF64", 4);
    assert_int_equal(number(header + 28, 8), 6 * GIB + 3);
    assert_int_equal(number(header + 20, 8), 6 * GIB + 4 + 96);
    assert_int_equal(number(header + 36, 8), 2 * GIB + 1);
    assert_int_equal(file_size(), 6 * GIB + 4 + 104);
}

static void
what_cannot_be_made_is_an_error(void **state)
{
    const struct zcb_audio_format format = {.rate = 48000, .channels = 2, .sample = ZCB_AUDIO_F32};
    struct wav wav;

    (void)state;
    assert_int_equal(wav_create(&wav, "/", &format, WAV_RIFF_MAX), -EISDIR);
    assert_int_equal(wav_create(&wav, "/dev/full", &format, WAV_RIFF_MAX), -ENOSPC);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_becomes_rf64_when_it_passes_4_gib, make_file,
                                        remove_file),
        cmocka_unit_test_setup_teardown(a_length_that_is_odd_is_padded_beyond_4_gib_too, make_file,
                                        remove_file),
        cmocka_unit_test(what_cannot_be_made_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
