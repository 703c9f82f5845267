// SPDX-License-Identifier: MIT

#include "testing.h"

#include <zcbuf/zcbuf.h>

#include <ctype.h>
#include <limits.h>
#include <string.h>

static const int codes[] = {
    EINVAL,    EAGAIN, ERANGE,    EALREADY, EBUSY,   EXDEV,    EBADMSG, ENOBUFS,
    ETIMEDOUT, ENOMEM, EOVERFLOW, EIO,      ENOTSUP, EMSGSIZE, ESTALE,
};

static void
each_code_of_the_library_has_a_text_of_its_own(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        const char *text = zcb_strerror(-codes[i]);

        assert_non_null(text);
        assert_true(strlen(text) > 10);
        assert_true(isalpha((unsigned char)text[0]));
        assert_ptr_equal(zcb_strerror(codes[i]), text); // the same without its sign
        assert_ptr_equal(zcb_strerror(-codes[i]), text);
        assert_string_not_equal(text, zcb_strerror(0));
        assert_string_not_equal(text, zcb_strerror(-9999));
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(text, zcb_strerror(-codes[j]));
    }
}

static void
any_other_number_has_a_text_too(void **state)
{
    static const int others[] = {0,     1,      -1,      EPERM,    -EACCES, 4095,
                                 -4096, 100000, INT_MAX, -INT_MAX, INT_MIN};

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_non_null(zcb_strerror(others[i]));
        assert_true(zcb_strerror(others[i])[0] != '\0');
    }
}

static void
library_and_header_are_of_one_version(void **state)
{
    char text[64];

    (void)state;
    assert_string_equal(zcb_version(), ZCB_VERSION_STRING);
    snprintf(text, sizeof(text), "%d.%d.%d", ZCB_VERSION_MAJOR, ZCB_VERSION_MINOR,
             ZCB_VERSION_PATCH);
    assert_string_equal(zcb_version(), text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_code_of_the_library_has_a_text_of_its_own),
        cmocka_unit_test(any_other_number_has_a_text_too),
        cmocka_unit_test(library_and_header_are_of_one_version),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
