// SPDX-License-Identifier: MIT
//
// Bytes seen: peek, copy_to, iov. What lies in the first chunk never comes here but through copy_to
// and iov.

#include "base/count_copy.h"
#include "chain/chain.h"

enum { IOV_WINDOW = 1024 };

static bool
has(const struct zcb_chain_state *s, size_t off, size_t len)
{
    return off <= s->len && len <= s->len - off;
}

const uint8_t *
zcb_chain_peek_slow(const struct zcb_chain *chain, size_t off, size_t len, void *scratch)
{
    const struct zcb_chain_state *s = zcb_chain_view(chain);
    size_t start, here;
    uint32_t number;

    if (!has(s, off, len))
        return NULL;
    if (off == s->len) // len is 0
        return s->count != 0 ? zcb_entry_last(s)->stop : s->end;
    number = zcb_chain_locate(s, off, &start);
    here = zcb_entry_end(s, number) - off;
    if (len <= here)
        return zcb_entry(s, number)->stop - here;
    if (scratch == NULL)
        return NULL;
    zcb_chain_read(s, off, scratch, len);
    zcb_count_copy(ZCB_COPY_PEEK, len);
    return scratch;
}

int
zcb_chain_copy_to(const struct zcb_chain *chain, size_t off, void *dst, size_t len)
{
    if (chain == NULL || (dst == NULL && len != 0))
        return -EINVAL;
    if (!has(zcb_chain_view(chain), off, len))
        return -EAGAIN;
    if (len != 0) {
        if (off <= (size_t)(chain->end - chain->cur) &&
            len <= (size_t)(chain->end - chain->cur) - off)
            memcpy(dst, chain->cur + off, len);
        else
            zcb_chain_read(zcb_chain_view(chain), off, dst, len);
        zcb_count_copy(ZCB_COPY_COPY_TO, len);
    }
    return 0;
}

int
zcb_chain_iov(const struct zcb_chain *chain, size_t off, struct iovec *iov, int n, size_t *len)
{
    const struct zcb_chain_state *s = zcb_chain_view(chain);
    size_t start, covered = 0;
    uint32_t number;
    int used = 0;

    if (chain == NULL || n < 0 || (iov == NULL && n != 0))
        return -EINVAL;
    if (off > s->len)
        return -EAGAIN;
    if (n > IOV_WINDOW)
        n = IOV_WINDOW;
    if (off != s->len) {
        for (number = zcb_chain_locate(s, off, &start); used < n && number < s->count; number++) {
            size_t here = zcb_entry_end(s, number) - (off + covered);

            // An iovec is for writing as well; who writes through this one breaks the contract.
            iov[used].iov_base = (void *)(uintptr_t)(zcb_entry(s, number)->stop - here);
            iov[used].iov_len = here;
            covered += here;
            used++;
        }
    }
    if (len != NULL)
        *len = covered;
    return used;
}
