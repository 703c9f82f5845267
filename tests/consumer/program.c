// SPDX-License-Identifier: MIT
// A program outside the project, as its users write them: a buffer from a pool, shared, queued,
// read in place and dropped.

#include <stdio.h>
#include <string.h>

#include <zcbuf/zcbuf.h>

int
main(void)
{
    struct zcb_pool *pool;
    struct zcb_chain chain;
    struct zcb_packet packet, keep;
    struct zcb_buf *buf;
    const uint8_t *at;
    uint8_t *to;
    int bad;

    if (strcmp(zcb_version(), ZCB_VERSION_STRING) != 0)
        return 1;
    if (zcb_pool_create(NULL, &pool) < 0 || zcb_chain_init(&chain, pool, NULL) < 0)
        return 2;
    if (zcb_pool_acquire(pool, 11, &buf) < 0 || zcb_buf_append(buf, 11, &to) < 0)
        return 3;
    memcpy(to, "hello world", 11);
    zcb_buf_share(&buf, &packet);
    keep = zcb_packet_ref(&packet);
    if (zcb_chain_push(&chain, &packet) < 0)
        return 4;
    if (zcb_chain_discard(&chain, 6) < 0)
        return 5;
    at = zcb_chain_peek(&chain, 0, 5, NULL);
    bad = at != keep.data + 6 || memcmp(at, "world", 5) != 0;
    if (!bad)
        printf("%.*s from version %s\n", 5, (const char *)at, zcb_version());
    zcb_chain_finish(&chain);
    zcb_packet_unref(&keep);
    zcb_pool_destroy(&pool);
    return bad ? 6 : 0;
}
