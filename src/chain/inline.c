// SPDX-License-Identifier: MIT
//
// The symbols of chain.h's inline functions, for callers that cannot inline.

#include <zcbuf/chain.h>

extern inline size_t zcb_chain_len(const struct zcb_chain *chain);
extern inline const uint8_t *zcb_chain_peek(const struct zcb_chain *chain, size_t off, size_t len,
                                            void *scratch);
extern inline int zcb_chain_peek_u8(const struct zcb_chain *chain, size_t off, uint8_t *out);
extern inline int zcb_chain_peek_u16be(const struct zcb_chain *chain, size_t off, uint16_t *out);
extern inline int zcb_chain_peek_u16le(const struct zcb_chain *chain, size_t off, uint16_t *out);
extern inline int zcb_chain_peek_u32be(const struct zcb_chain *chain, size_t off, uint32_t *out);
extern inline int zcb_chain_peek_u32le(const struct zcb_chain *chain, size_t off, uint32_t *out);
extern inline int zcb_chain_peek_u64be(const struct zcb_chain *chain, size_t off, uint64_t *out);
extern inline int zcb_chain_peek_u64le(const struct zcb_chain *chain, size_t off, uint64_t *out);
extern inline int zcb_chain_discard(struct zcb_chain *chain, size_t len);
