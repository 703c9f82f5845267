// SPDX-License-Identifier: MIT
//
// zcbuf/zcbuf.h: the whole core. Adapters have headers of their own in zcbuf/adapt/.
#ifndef ZCBUF_ZCBUF_H
#define ZCBUF_ZCBUF_H

#include <zcbuf/base.h>
#include <zcbuf/buf.h>
#include <zcbuf/chain.h>
#include <zcbuf/copies.h>
#include <zcbuf/packet.h>
#include <zcbuf/piece.h>
#include <zcbuf/pool.h>
#include <zcbuf/source.h>
#include <zcbuf/stats.h>

#endif
