// SPDX-License-Identifier: MIT
//
// Random images, views of views, writers and copies, each beside plain arrays of what its pixels
// have to be. After each step every live image still shows its own: what is written through one
// never shows in another. Which blocks an image has is kept as well, and so how many planes a
// copy-on-write has to copy, to the byte.

#include "testing.h"

#include "unit/image_testing.h"

#include <zcbuf/copies.h>

enum { HANDLES = 24, SIDE = 12, PLANE = SIDE * SIDE * 8, ARENA = 1 << 16 };

enum kind { FREE, IMAGE, WRITER };

struct handle {
    enum kind kind;
    struct zcb_image image;
    struct zcb_image_buf buf;
    const struct format_row *row;
    uint32_t width, height;
    // Of each plane: 0 is static memory, odd ones may not be written.
    uint32_t block[3];
    bool aliased; // planes 1 and 2 are the same bytes
    uint8_t bytes[3][PLANE];
};

struct model {
    uint64_t random;
    struct zcb_pool *pool, *empty;
    struct handle handles[HANDLES];
    uint32_t blocks;
    uint8_t *arena; // static memory, never given back
    size_t arena_used;
    int64_t foreign;                         // wrapped and not released
    uint64_t copied;                         // bytes that had to be
    size_t in_place, partly, wholly, failed; // so that none of these is missing from the test
};

static size_t
below(struct model *m, size_t n)
{
    return zcb_test_below(&m->random, n);
}

static uint32_t
row_bytes(const struct handle *h, unsigned plane)
{
    return plane_width(h->row, plane, h->width) * h->row->bytes[plane];
}

static uint32_t
rows(const struct handle *h, unsigned plane)
{
    return plane_rows(h->row, plane, h->height);
}

static size_t
plane_bytes(const struct handle *h, unsigned plane)
{
    return (size_t)row_bytes(h, plane) * rows(h, plane);
}

static struct handle *
pick(struct model *m, enum kind kind)
{
    for (size_t i = 0, from = below(m, HANDLES); i < HANDLES; i++)
        if (m->handles[(from + i) % HANDLES].kind == kind)
            return &m->handles[(from + i) % HANDLES];
    return NULL;
}

static uint32_t
new_block(struct model *m, bool readonly)
{
    return ++m->blocks * 2 + readonly;
}

// How many images and writers have the block.
static unsigned
users(const struct model *m, uint32_t block)
{
    unsigned n = 0;

    for (size_t i = 0; i < HANDLES; i++) {
        const struct handle *h = &m->handles[i];
        bool has = false;

        for (unsigned plane = 0; h->kind != FREE && plane < h->row->planes; plane++)
            has = has || h->block[plane] == block;
        n += has;
    }
    return n;
}

static bool
must_copy(const struct model *m, const struct handle *h, unsigned plane)
{
    // One block is copied or left as a whole.
    bool in_other = h->aliased && (h->block[plane] == h->block[1]);

    return h->block[plane] == 0 || h->block[plane] % 2 != 0 || in_other ||
           users(m, h->block[plane]) > 1;
}

static void
check(const struct model *m, const struct handle *h)
{
    bool unique = true;

    if (h->kind == FREE)
        return;
    for (unsigned plane = 0; plane < h->row->planes; plane++) {
        unique = unique && h->block[plane] != 0 && users(m, h->block[plane]) == 1;
        for (uint32_t y = 0; y < rows(h, plane); y++) {
            const uint8_t *is = h->kind == IMAGE ? zcb_image_row(&h->image, plane, y)
                                                 : zcb_image_buf_row(&h->buf, plane, y);

            assert_memory_equal(is, h->bytes[plane] + (size_t)y * row_bytes(h, plane),
                                row_bytes(h, plane));
        }
    }
    if (h->kind == IMAGE) {
        assert_int_equal(h->image.width, h->width);
        assert_int_equal(h->image.height, h->height);
        assert_int_equal(h->image.format, h->row->format);
        assert_int_equal(zcb_image_is_unique(&h->image), unique);
    }
}

// ---- new images

static void
shape(struct model *m, struct handle *h)
{
    h->row = &format_rows[below(m, FORMATS)];
    h->width = 1 + (uint32_t)below(m, SIDE);
    h->height = 1 + (uint32_t)below(m, SIDE);
    h->aliased = false;
    memset(h->block, 0, sizeof(h->block));
    for (unsigned plane = 0; plane < h->row->planes; plane++)
        for (size_t i = 0; i < plane_bytes(h, plane); i++)
            h->bytes[plane][i] = (uint8_t)zcb_test_random(&m->random);
}

static void
fill(uint8_t *to, size_t stride, const struct handle *h, unsigned plane)
{
    for (uint32_t y = 0; y < rows(h, plane); y++)
        memcpy(to + y * stride, h->bytes[plane] + (size_t)y * row_bytes(h, plane),
               row_bytes(h, plane));
}

static void
acquire(struct model *m, struct handle *h)
{
    bool apart = below(m, 2) != 0;
    struct zcb_image_layout layout;

    shape(m, h);
    layout = must_layout(h->row->format, h->width, h->height, (size_t)1 << below(m, 9));
    assert_int_equal(
        (apart ? zcb_image_acquire_planes : zcb_image_acquire)(m->pool, &layout, &h->buf), 0);
    h->kind = WRITER;
    for (unsigned plane = 0; plane < h->row->planes; plane++) {
        h->block[plane] = apart || plane == 0 ? new_block(m, false) : h->block[0];
        fill(h->buf.plane[plane], h->buf.stride[plane], h, plane);
    }
}

static void
release_foreign(void *ctx, void *data, size_t len)
{
    struct model *m = ctx;

    memset(data, 0xdd, len);
    free(data);
    m->foreign--;
}

// Memory of one of the kinds that there are, and a packet of it.
static uint8_t *
some_memory(struct model *m, size_t len, struct zcb_packet *packet, uint32_t *block)
{
    uint8_t *data;
    struct zcb_buf *buf;

    switch (below(m, 4)) {
    case 0:
        *packet = must_packet(m->pool, len);
        *block = new_block(m, false);
        return (uint8_t *)(uintptr_t)packet->data;
    case 1:
        CHECK(m->arena_used + len <= ARENA * 16);
        data = m->arena + m->arena_used;
        m->arena_used += len;
        *packet = zcb_packet_static(data, len);
        *block = 0;
        return data;
    case 2:
        data = malloc(len);
        assert_non_null(data);
        assert_int_equal(zcb_packet_wrap(data, len, release_foreign, m, packet), 0);
        *block = new_block(m, true);
        break;
    default:
        data = malloc(len);
        assert_non_null(data);
        assert_int_equal(zcb_buf_wrap(data, len, len, release_foreign, m, &buf), 0);
        zcb_buf_share(&buf, packet);
        *block = new_block(m, false);
    }
    m->foreign++;
    return data;
}

// All planes in one packet: in any order with gaps, or side by side.
static void
wrap(struct model *m, struct handle *h)
{
    struct zcb_image_layout layout;
    struct zcb_packet packet;
    unsigned first, way = (unsigned)below(m, 3);
    size_t end = below(m, 20), stride = 0;
    uint8_t *to;
    uint32_t block;

    shape(m, h);
    layout = must_layout(h->row->format, h->width, h->height, 1);
    first = (unsigned)below(m, layout.planes);
    for (unsigned i = 0; i < layout.planes; i++)
        stride += row_bytes(h, i) + below(m, 2);
    for (unsigned i = 0; i < layout.planes; i++) {
        unsigned plane = (first + i) % layout.planes;

        layout.offset[plane] = end;
        if (way == 0) {
            layout.stride[plane] = stride;
            end += row_bytes(h, plane);
        } else {
            layout.stride[plane] += below(m, 10);
            end += layout.stride[plane] * (rows(h, plane) - 1) + row_bytes(h, plane) + below(m, 5);
        }
    }
    for (unsigned i = 0; way == 0 && i < layout.planes; i++) {
        size_t last = layout.offset[i] + stride * (rows(h, i) - 1) + row_bytes(h, i);

        end = last > end ? last : end;
    }
    to = some_memory(m, end, &packet, &block);
    for (unsigned i = 0; i < layout.planes; i++) {
        fill(to + layout.offset[i], layout.stride[i], h, i);
        h->block[i] = block;
    }
    assert_int_equal(zcb_image_wrap(&layout, &packet, &h->image), 0);
    h->kind = IMAGE;
}

// A packet for each plane; at times V is U, or two planes lie in one block.
static void
wrap_planes(struct model *m, struct handle *h)
{
    struct zcb_packet planes[3];
    struct zcb_image_layout layout;

    shape(m, h);
    layout = must_layout(h->row->format, h->width, h->height, 1);
    for (unsigned i = 0; i < layout.planes; i++) {
        size_t len = plane_bytes(h, i);

        if (i == 2 && below(m, 3) == 0) {
            planes[2] = zcb_packet_ref(&planes[1]);
            memcpy(h->bytes[2], h->bytes[1], len);
            h->block[2] = h->block[1];
            h->aliased = true;
        } else if (i == 1 && layout.planes == 3 && below(m, 3) == 0) {
            struct zcb_packet both;
            uint8_t *to = some_memory(m, len * 2 + 7, &both, &h->block[1]);

            // U behind V
            fill(to + len + 7, row_bytes(h, 1), h, 1);
            fill(to, row_bytes(h, 2), h, 2);
            assert_int_equal(zcb_packet_slice(&both, len + 7, len, &planes[1]), 0);
            assert_int_equal(zcb_packet_slice(&both, 0, len + 3, &planes[2]), 0);
            h->block[2] = h->block[1];
            zcb_packet_unref(&both);
            break;
        } else {
            fill(some_memory(m, len + below(m, 9), &planes[i], &h->block[i]), row_bytes(h, i), h,
                 i);
        }
    }
    assert_int_equal(zcb_image_wrap_planes(&layout, planes, &h->image), 0);
    h->kind = IMAGE;
}

// ---- views

// What the model has of `from`'s plane, from a column and a row on, every `step`-th row.
static void
cut(struct handle *h, unsigned plane, const struct handle *from, unsigned from_plane, size_t column,
    uint32_t y, uint32_t step)
{
    for (uint32_t r = 0; r < rows(h, plane); r++)
        memcpy(h->bytes[plane] + (size_t)r * row_bytes(h, plane),
               from->bytes[from_plane] + (size_t)(y + r * step) * row_bytes(from, from_plane) +
                   column,
               row_bytes(h, plane));
    h->block[plane] = from->block[from_plane];
}

static void
view(struct model *m, struct handle *h, const struct handle *from)
{
    const struct format_row *row = from->row;
    uint32_t x = 0, y = 0, step = 1;
    unsigned plane;
    int result;

    h->row = row;
    h->width = from->width;
    h->height = from->height;
    h->aliased = from->aliased;
    memset(h->block, 0, sizeof(h->block));
    switch (below(m, 3)) {
    case 0:
        if (below(m, 2) == 0) {
            x = (uint32_t)below(m, from->width);
            x -= row->planes > 1 ? x % row->xdiv[1] : 0;
            h->width = 1 + (uint32_t)below(m, from->width - x);
        }
        y = (uint32_t)below(m, from->height);
        y -= row->planes > 1 ? y % row->ydiv[1] : 0;
        h->height = 1 + (uint32_t)below(m, from->height - y);
        result = h->width == from->width && x == 0
                     ? zcb_image_rows(&from->image, y, h->height, &h->image)
                     : zcb_image_crop(&from->image, x, y, h->width, h->height, &h->image);
        break;
    case 1:
        y = (uint32_t)below(m, 2);
        step = 2;
        result = zcb_image_field(&from->image, y != 0, &h->image);
        if (row->ydiv[1] == 2 || from->height <= y) {
            assert_true(result == -ENOTSUP || result == -ERANGE);
            return;
        }
        h->height = (from->height - y + 1) / 2;
        break;
    default:
        plane = (unsigned)below(m, row->planes);
        result = zcb_image_plane(&from->image, plane, &h->image);
        if (row->planes == 1 && row->channels > 1) {
            assert_int_equal(result, -ENOTSUP);
            return;
        }
        assert_int_equal(result, 0);
        h->width = plane_width(row, plane, from->width);
        h->height = plane_rows(row, plane, from->height);
        h->row = format_row(h->image.format);
        h->aliased = false;
        cut(h, 0, from, plane, 0, 0, 1);
        h->kind = IMAGE;
        return;
    }
    assert_int_equal(result, 0);
    for (plane = 0; plane < row->planes; plane++)
        cut(h, plane, from, plane, (size_t)(x / row->xdiv[plane]) * row->bytes[plane],
            y / row->ydiv[plane], step);
    h->kind = IMAGE;
}

// ---- writing

static void
make_writable(struct model *m, struct handle *h)
{
    struct zcb_pool *pool = m->pool;
    struct zcb_image was = h->image;
    bool copied[3] = {false};
    uint32_t block[3];
    unsigned copies = 0;
    uint64_t bytes = 0;
    int result;

    for (unsigned i = 0; i < h->row->planes; i++) {
        copied[i] = must_copy(m, h, i);
        copies += copied[i];
        bytes += copied[i] ? plane_bytes(h, i) : 0;
    }
    if (below(m, 4) == 0)
        pool = below(m, 2) != 0 ? NULL : m->empty;
    result = zcb_image_make_writable(&h->image, pool, &h->buf);
    if (copies != 0 && pool != m->pool) {
        assert_int_equal(result, pool == NULL ? -EINVAL : -ENOBUFS);
        assert_memory_equal(&h->image, &was, sizeof(was));
        m->failed++;
        return;
    }
    assert_int_equal(result, copies);
    assert_true(is_empty(&h->image));
    m->copied += bytes;
    m->in_place += copies == 0;
    m->partly += copies != 0 && copies != h->row->planes;
    m->wholly += copies == h->row->planes;
    // What was in one block is in one block again.
    for (unsigned i = 0; i < h->row->planes; i++) {
        unsigned first = 0;

        while (h->block[first] != h->block[i])
            first++;
        if (!copied[i])
            block[i] = h->block[i];
        else
            block[i] = first < i ? block[first] : new_block(m, false);
        if (!copied[i])
            assert_ptr_equal(h->buf.plane[i], was.plane[i].data);
        // The buf that holds a plane has all of it as its data.
        assert_true(h->buf.plane[i] >= zcb_buf_data(h->buf.buf[first]));
        assert_true(h->buf.plane[i] + (rows(h, i) - 1) * h->buf.stride[i] + row_bytes(h, i) <=
                    zcb_buf_data(h->buf.buf[first]) + zcb_buf_len(h->buf.buf[first]));
    }
    memcpy(h->block, block, sizeof(block[0]) * h->row->planes);
    h->aliased = false;
    h->kind = WRITER;
}

static void
scribble(struct model *m, struct handle *h)
{
    for (size_t n = 1 + below(m, 4); n != 0; n--) {
        unsigned plane = (unsigned)below(m, h->row->planes);
        uint32_t y = (uint32_t)below(m, rows(h, plane));
        size_t first = below(m, row_bytes(h, plane));
        size_t len = 1 + below(m, row_bytes(h, plane) - first);
        int value = (int)below(m, 256);

        memset(zcb_image_buf_row(&h->buf, plane, y) + first, value, len);
        memset(h->bytes[plane] + (size_t)y * row_bytes(h, plane) + first, value, len);
    }
}

// ---- steps

static void
copy(struct model *m, struct handle *h, const struct handle *from)
{
    *h = *from;
    assert_int_equal(zcb_image_copy(&from->image, m->pool, &h->image), 0);
    h->aliased = false;
    h->block[0] = new_block(m, false);
    for (unsigned i = 0; i < h->row->planes; i++) {
        h->block[i] = h->block[0];
        m->copied += plane_bytes(h, i);
    }
}

static void
let_go(struct handle *h)
{
    if (h->kind == IMAGE)
        zcb_image_unref(&h->image);
    if (h->kind == WRITER)
        zcb_image_buf_release(&h->buf);
    h->kind = FREE;
}

static void
step(struct model *m)
{
    struct handle *image = pick(m, IMAGE), *writer = pick(m, WRITER), *h = pick(m, FREE);
    size_t what = below(m, 20);

    if (h == NULL || what < 3) {
        let_go(&m->handles[below(m, HANDLES)]);
    } else if (writer != NULL && what < 6) {
        scribble(m, writer);
    } else if (writer != NULL && (what < 9 || image == NULL)) {
        zcb_image_buf_share(&writer->buf, &writer->image);
        writer->kind = IMAGE;
    } else if (image == NULL || what < 10) {
        acquire(m, h);
    } else if (what < 11) {
        wrap(m, h);
    } else if (what < 12) {
        wrap_planes(m, h);
    } else if (what < 15) {
        view(m, h, image);
    } else if (what < 16) {
        *h = *image;
        h->image = zcb_image_ref(&image->image);
    } else if (what < 17) {
        copy(m, h, image);
    } else {
        make_writable(m, image);
    }
}

static uint64_t
moved(void)
{
    struct zcb_copies copies;

    zcb_copies_thread(&copies);
    return zcb_copies_bytes(&copies);
}

static void
what_is_written_in_one_image_shows_in_no_other(void **state)
{
    struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 64, .max_buffers = 1}},
        .policy = ZCB_POOL_FAIL,
        .flags = ZCB_POOL_NO_OVERSIZE,
    };
    static struct model model;
    struct model *m = &model;
    uint64_t before = moved();
    struct zcb_buf *filler;

    (void)state;
    m->random = zcb_test_seed();
    m->pool = must_create(NULL);
    m->empty = must_create(&config);
    filler = must_acquire(m->empty, 1);
    m->arena = malloc((size_t)ARENA * 16);
    assert_non_null(m->arena);
    for (size_t round = zcb_test_rounds(40); round != 0; round--) {
        for (size_t n = 0; n < 1500; n++) {
            step(m);
            for (size_t i = 0; i < HANDLES; i++)
                check(m, &m->handles[i]);
            assert_int_equal(moved() - before, m->copied);
        }
        for (size_t i = 0; i < HANDLES; i++)
            let_go(&m->handles[i]);
        assert_int_equal(m->foreign, 0);
        assert_int_equal(must_be_at_rest(m->pool).total.live, 0);
        m->arena_used = 0;
    }
    fprintf(stderr, "%zu in place, %zu copied in part, %zu wholly, %zu failed\n", m->in_place,
            m->partly, m->wholly, m->failed);
    assert_true(m->in_place > 100 && m->partly > 20 && m->wholly > 100 && m->failed > 100);
    free(m->arena);
    zcb_buf_release(&filler);
    must_end(&m->empty);
    must_end(&m->pool);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_in_one_image_shows_in_no_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
