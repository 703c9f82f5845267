// SPDX-License-Identifier: MIT
#ifndef EXAMPLES_SHA1_H
#define EXAMPLES_SHA1_H

#include <openssl/evp.h>

// The method, looked up once; EVP_sha1() is looked up again at each EVP_DigestInit_ex(). NULL: not
// available.
static inline const EVP_MD *
sha1_method(void)
{
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
    static EVP_MD *method;

    if (method == NULL)
        method = EVP_MD_fetch(NULL, "SHA1", NULL);
    return method;
#else
    return EVP_sha1();
#endif
}

#endif
