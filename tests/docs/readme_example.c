#include <stdio.h>
#include <unistd.h>
#include <zcbuf/zcbuf.h>

int main(void)
{
    struct zcb_pool *pool;
    struct zcb_chain rx;
    struct iovec space[2];
    struct zcb_packet message;
    struct zcb_copies copies;
    uint32_t len;
    int fd[2];

    // Stands in for a socket: two messages, each behind its length, arrive together.
    if (pipe(fd) < 0 || write(fd[1], "\0\0\0\5hello\0\0\0\7packets", 20) != 20)
        return 1;
    if (zcb_pool_create(NULL, &pool) < 0 || zcb_chain_init(&rx, pool, NULL) < 0)
        return 1;

    int n = zcb_chain_reserve(&rx, 1, space, 2);        // room in a pooled buffer,
    ssize_t got = n < 0 ? -1 : readv(fd[0], space, n);  // which the kernel fills,
    if (got <= 0 || zcb_chain_commit(&rx, (size_t)got) < 0)
        return 1;

    while (zcb_chain_peek_u32be(&rx, 0, &len) == 0 && len <= zcb_chain_len(&rx) - 4) {
        zcb_chain_discard(&rx, 4);
        if (zcb_chain_take(&rx, len, &message) < 0)     // and which the packet is a view of:
            return 1;                                   // keep it, slice it, pass it to a thread
        printf("%.*s\n", (int)message.len, (const char *)message.data);
        zcb_packet_unref(&message);
    }

    zcb_copies_total(&copies);
    printf("%llu bytes copied\n", (unsigned long long)zcb_copies_bytes(&copies));
    zcb_chain_finish(&rx);
    zcb_pool_destroy(&pool);
    return 0;
}
