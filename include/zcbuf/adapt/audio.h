// SPDX-License-Identifier: MIT
//
// zcbuf/adapt/audio.h: from a capture device's real-time thread to any number of consumers.
//
//     device --begin--> [packet's memory] --commit--> queue of consumer A --read--> packet, shared
//                ^                              \---> queue of consumer B --read--> the same memory
//                |                                                          |
//             prepared buffers <------- lock-free return <------ unref <----+
//                ^                                                    last one
//                |  service(): a helper thread, or any thread of yours
//             zcb_pool
//
// Five things, each of use without the ones behind it:
//
//     format     rate, channels, sample type, interleaved or planar
//     packet     a shared packet of samples with its time in frames; slices, planes, channels
//     rechunk    packets of one length into packets of another
//     sink       where a capture thread writes; real-time safe
//     consumer   a reader of a sink, with a queue and a policy of its own
//
// Real-time safe: zcb_audio_sink_begin, commit, write, flush and end call no allocator, take no
// lock, make no system call, wait for nobody and run a bounded number of steps. They use none of
// the pool's calls: a sink has buffers prepared beforehand, whose last unref brings them back by an
// atomic exchange. What needs the system (preparing more buffers, giving some back, waking those
// who sleep) is zcb_audio_sink_service(): a helper thread's, or yours. One call,
// zcb_audio_sink_warm(), belongs on the capture thread before it turns to real time.
//
// A capture thread's loop:
//
//     zcb_audio_sink_warm(sink);
//     while (device_wait(&got, &stamp))             // `got` frames lie ready
//         for (struct zcb_audio_stamp *when = &stamp; got != 0; when = NULL) {
//             struct zcb_audio_span span;
//             if (zcb_audio_sink_begin(sink, got, when, &span) < 0)
//                 break;                            // misuse alone
//             device_read(span.plane[0], span.frames);
//             if (zcb_audio_sink_commit(sink, span.frames) < 0)
//                 break;
//             got -= span.frames;
//         }
//     zcb_audio_sink_end(sink);
//
// What the device delivers (256 frames, say) and what a packet has (480) need not agree: a span
// ends where the packet does, and the rest comes with the next begin. Nothing is copied for it.
//
// A consumer's loop:
//
//     while ((r = zcb_audio_consumer_read(consumer, 1000, &packet)) != 0) {
//         if (r < 0)
//             continue;                             // -ETIMEDOUT: the device is silent
//         write(fd, packet.bytes.data, packet.bytes.len);
//         zcb_audio_packet_unref(&packet);
//     }
//
// Time is counted in frames, in 64 bits that wrap; differences are taken as signed, so a count that
// wraps is continuous. Samples are passed on bit by bit: nothing here looks at their values.
//
// Threads: format and packet functions: any. A sink: one capture thread (begin, commit, write,
// flush, end), while any others use service, stats and consumers; create and destroy are ordered by
// the caller, and destroy comes after the capture thread's last call. A consumer: one thread.
// Not for signal handlers. fork: a sink is used on the parent's side only.
//
// Errors: as in base.h.
#ifndef ZCBUF_ADAPT_AUDIO_H
#define ZCBUF_ADAPT_AUDIO_H

#include <zcbuf/buf.h>
#include <zcbuf/packet.h>
#include <zcbuf/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct zcb_audio_rechunk;
struct zcb_audio_sink;
struct zcb_audio_consumer;

// ---- format

#define ZCB_AUDIO_MAX_RATE 1536000u
#define ZCB_AUDIO_MAX_CHANNELS 256u
#define ZCB_AUDIO_MAX_PACKET (64u << 20) // bytes of a packet

// Sample types, in the machine's byte order. Silence is all zero bytes in each of them.
enum zcb_audio_sample {
    ZCB_AUDIO_S16 = 1,
    ZCB_AUDIO_S24 = 2,    // packed: 3 bytes
    ZCB_AUDIO_S24_32 = 3, // in 4 bytes
    ZCB_AUDIO_S32 = 4,
    ZCB_AUDIO_F32 = 5,
    ZCB_AUDIO_F64 = 6,
};

struct zcb_audio_format {
    uint32_t rate;     // frames a second, 1 to ZCB_AUDIO_MAX_RATE
    uint16_t channels; // 1 to ZCB_AUDIO_MAX_CHANNELS
    uint8_t sample;    // enum zcb_audio_sample
    uint8_t planar;    // 0: samples of a frame side by side; 1: each channel by itself
};

// 0; -EINVAL: NULL, or a field that is none of the above. What other calls take is checked by them.
ZCB_API ZCB_MUST_CHECK int zcb_audio_format_check(const struct zcb_audio_format *format);

// Bytes of one sample, and of one frame (a sample of each channel). 0: not a valid format.
ZCB_API uint32_t zcb_audio_sample_bytes(const struct zcb_audio_format *format);
ZCB_API uint32_t zcb_audio_frame_bytes(const struct zcb_audio_format *format);

// "s16", "s24", "s24_32", "s32", "f32", "f64"; "unknown". Static.
ZCB_API const char *zcb_audio_sample_name(unsigned sample);

// Frames in so many seconds, to the nearest.
// 0; -EINVAL (format; a duration that is NaN, infinite or below 0); -EOVERFLOW (above 2^53 frames).
ZCB_API ZCB_MUST_CHECK int zcb_audio_frames_in(const struct zcb_audio_format *format,
                                               double seconds, uint64_t *out);

// ---- packet

enum {
    // Frames are missing in front of this packet, or its time does not follow from the one before.
    ZCB_AUDIO_DISCONTINUITY = 1u << 0,
    // All frames are silence, put in for lost ones or announced by the device.
    ZCB_AUDIO_SILENCE = 1u << 1,
    // Nothing follows. Only where the end cut a packet short: what tells the end is read()'s 0.
    ZCB_AUDIO_END = 1u << 2,
    // Some or all of the frames were put in for lost ones.
    ZCB_AUDIO_CONCEALED = 1u << 3,
    // In a stamp: these fields are filled in.
    ZCB_AUDIO_HAS_PTS = 1u << 8,
    ZCB_AUDIO_HAS_SEQUENCE = 1u << 9,
};

// One reference to shared, read-only samples; 64 bytes, passed by value like its `bytes`, and the
// same rules hold: after `b = a` one of them is to be forgotten.
//
//     interleaved   bytes: L R L R L R ...                       plane_stride 0
//     planar        bytes: L L L .. | R R R ..                   plane_stride: from L's first to R's
//                   between a plane's last frame and the next plane may lie bytes of no meaning
struct zcb_audio_packet {
    struct zcb_packet bytes;
    struct zcb_audio_format format;
    uint64_t pts_frames; // of the first frame
    uint64_t number;     // of the packet in its sink, from 0; slices keep it
    uint32_t frames;
    uint32_t flags;        // ZCB_AUDIO_...
    uint32_t plane_stride; // bytes from a plane to the next; 0: interleaved
    uint32_t reserved;     // 0
};

// Makes an audio packet of bytes that came from elsewhere (a file, a socket); planes lie one right
// after the other. Takes *bytes, on success.
// 0; -EINVAL (NULL, format); -EBADMSG (not a whole number of frames); -ERANGE (more than
// ZCB_AUDIO_MAX_PACKET).
ZCB_API ZCB_MUST_CHECK int zcb_audio_packet_init(struct zcb_audio_packet *out,
                                                 const struct zcb_audio_format *format,
                                                 struct zcb_packet *bytes, uint64_t pts_frames);

// One more reference; drop one (and empty the variable; NULL or empty is fine).
ZCB_API struct zcb_audio_packet zcb_audio_packet_ref(const struct zcb_audio_packet *packet);
ZCB_API void zcb_audio_packet_unref(struct zcb_audio_packet *packet);

// *out becomes `frames` frames from frame `off` on, of the same memory, with a reference of its
// own. The time moves along; DISCONTINUITY stays with frame 0, END with the last. O(1), one atomic
// operation. 0, -ERANGE: not inside the packet. `out` may not be `packet`.
ZCB_API ZCB_MUST_CHECK int zcb_audio_packet_slice(const struct zcb_audio_packet *packet,
                                                  uint32_t off, uint32_t frames,
                                                  struct zcb_audio_packet *out);

// Keeps what is behind the first `frames` frames; they are dropped. 0, -ERANGE. O(1).
ZCB_API ZCB_MUST_CHECK int zcb_audio_packet_discard(struct zcb_audio_packet *packet,
                                                    uint32_t frames);

// The bytes of one plane (0 is all there is where samples are interleaved) as a packet with a
// reference of its own. 0, -ERANGE: no such plane.
ZCB_API ZCB_MUST_CHECK int zcb_audio_packet_plane(const struct zcb_audio_packet *packet,
                                                  uint32_t plane, struct zcb_packet *out);

// One channel's samples where they lie: sample i is at data + i * stride. Lent: valid while the
// packet is.
struct zcb_audio_channel {
    const uint8_t *data;
    uint32_t stride; // bytes from a sample to the channel's next
    uint32_t frames;
};

// 0, -ERANGE: no such channel.
ZCB_API ZCB_MUST_CHECK int zcb_audio_packet_channel(const struct zcb_audio_packet *packet,
                                                    uint32_t channel,
                                                    struct zcb_audio_channel *out);

// One packet of n packets' frames, in their order; they stay the caller's. Where they lie side by
// side in one piece of memory (also: n is 1) nothing moves; else they are copied into a buffer of
// `pool` (ZCB_COPY_COPY_TO, exactly their samples). Time and number are the first's, as is
// DISCONTINUITY; END is the last's; SILENCE where all have it, CONCEALED where one has.
// Returns 0: shared; 1: copied; -EINVAL (NULL, but for a pool that is not needed; n 0; formats
// differ); -ERANGE (above ZCB_AUDIO_MAX_PACKET); or acquire's errors.
ZCB_API ZCB_MUST_CHECK int zcb_audio_gather(const struct zcb_audio_packet *packets, size_t n,
                                            struct zcb_pool *pool, struct zcb_audio_packet *out);

// ---- rechunk: packets of any lengths in, packets of one length out. Any thread, one at a time.
//
// Where an output lies inside one input, or inputs lie side by side in memory, it is a view: no
// copy. Where it crosses inputs it is gathered: one counted copy of its bytes. Where time breaks
// (DISCONTINUITY, or a pts that does not follow), an output ends short; so it does where the
// inputs that may wait are too short to make it up.

#define ZCB_AUDIO_RECHUNK_INPUTS 64 // inputs that may wait

// `pool` is for outputs that have to be copied, and must outlive the object.
// 0; -EINVAL (NULL, format, frames 0); -ERANGE (an output above ZCB_AUDIO_MAX_PACKET); -ENOMEM.
ZCB_API ZCB_MUST_CHECK int zcb_audio_rechunk_create(struct zcb_pool *pool,
                                                    const struct zcb_audio_format *format,
                                                    uint32_t frames,
                                                    struct zcb_audio_rechunk **out);
ZCB_API void zcb_audio_rechunk_destroy(struct zcb_audio_rechunk **rechunk);

// Takes *packet on success; one of 0 frames is dropped at once. 0; -EINVAL (NULL, another format);
// -ENOBUFS (ZCB_AUDIO_RECHUNK_INPUTS wait: pull first). O(1).
ZCB_API ZCB_MUST_CHECK int zcb_audio_rechunk_push(struct zcb_audio_rechunk *rechunk,
                                                  struct zcb_audio_packet *packet);

// The next output, the caller's. Returns 0: a view; 1: copied; -EAGAIN: push more; -EINVAL (NULL);
// or acquire's errors, which lose nothing.
ZCB_API ZCB_MUST_CHECK int zcb_audio_rechunk_pull(struct zcb_audio_rechunk *rechunk,
                                                  struct zcb_audio_packet *out);

// As pull; but where less than an output is there, that comes out short. -EAGAIN: nothing is left.
ZCB_API ZCB_MUST_CHECK int zcb_audio_rechunk_flush(struct zcb_audio_rechunk *rechunk,
                                                   struct zcb_audio_packet *out);

// Frames that wait.
ZCB_API uint64_t zcb_audio_rechunk_frames(const struct zcb_audio_rechunk *rechunk);

// ---- sink

// What happens when all buffers are in use and none can be prepared in time. No policy touches
// memory that a program holds: where it holds all of them, what is captured is dropped.
enum zcb_audio_full {
    // What is being captured is dropped; what waits in queues stays. drops_newest.
    ZCB_AUDIO_DROP_NEWEST,
    // The oldest packet that waits is taken out of the queues. drops_oldest. Gaps come one by one.
    // (One that a program has read elsewhere gives no memory: then the next goes as well.)
    ZCB_AUDIO_DROP_OLDEST,
    // All that waits is given up, in all queues: one large gap, then no more. overwritten.
    ZCB_AUDIO_OVERWRITE,
};

enum {
    // Each commit is a packet, of as many frames as were committed. Without it packets have
    // packet_frames frames, and fewer only where time breaks, at flush and at the end.
    ZCB_AUDIO_AS_DELIVERED = 1u << 0,
};

struct zcb_audio_sink_config {
    uint32_t packet_frames; // the most frames of a packet. 0: 10 ms of the rate, at least 1
    // Buffers that exist from the start. 0: 10. A packet is one buffer, of the pool's tier that
    // fits: 4 KiB for 10 ms of 48 kHz stereo in 32 bits.
    uint32_t buffers;
    // service() may have this many, for peaks. 0: four times `buffers`; the same number: fixed.
    uint32_t max_buffers; // at most 4096
    // What service() keeps free, while max_buffers allows. 0: a quarter of `buffers`, at least 2.
    uint32_t spare;
    enum zcb_audio_full full;
    uint32_t flags;
    uint32_t max_consumers; // at a time. 0: 8; at most 64
    uint32_t max_depth;     // of a consumer's queue, packets. 0: 64; at most 1024
    // A thread of the sink's own that calls service() every so many milliseconds, at most 1000.
    // 0: none.
    uint32_t helper_ms;
    // How stamps are judged; see zcb_audio_sink_begin.
    uint32_t tolerance_frames; // a time this far off is what it should be. 0: exact
    uint32_t max_gap_frames;   // a larger difference is no gap but a jump. 0: one second
    uint32_t conceal_frames;   // gaps up to this are filled with silence. 0: none is. At most 2^20
    uint32_t stall_after; // stamps from the past, in a row, that are dropped; one more is believed.
                          // 0: 4
    uint32_t reserved[7]; // 0
};

// Makes a sink of buffers of `pool`, and touches their memory so that it is resident. The pool
// must not be destroyed before the sink is; what is out after that needs neither.
// 0; -EINVAL (NULL, format, a config out of bounds, buffers above max_buffers, an unknown flag or
// policy, a reserved field); -ERANGE (a packet above ZCB_AUDIO_MAX_PACKET); -ENOMEM; acquire's
// errors; where helper_ms is set, what pthread_create said.
ZCB_API ZCB_MUST_CHECK int zcb_audio_sink_create(struct zcb_pool *pool,
                                                 const struct zcb_audio_format *format,
                                                 const struct zcb_audio_sink_config *config,
                                                 struct zcb_audio_sink **out);

// Ends the stream, joins the helper, sets *sink to NULL. NULL is fine. The capture thread has made
// its last call. Packets that are out stay valid, consumers can read what waits for them; the
// memory goes with the last of both, on that thread.
ZCB_API void zcb_audio_sink_destroy(struct zcb_audio_sink **sink);

// On the capture thread, before it turns to real time: makes what this library keeps for a thread
// (for counting copies, one byte of which is counted here), and touches the sink's memory.
// 0, -EINVAL.
ZCB_API ZCB_MUST_CHECK int zcb_audio_sink_warm(struct zcb_audio_sink *sink);

// What the device says about the frames that begin or write is called for.
struct zcb_audio_stamp {
    uint64_t pts_frames; // of the first frame, in the device's count. ZCB_AUDIO_HAS_PTS
    uint64_t now_ns;     // a monotonic clock, for late_wakeups and bursts. 0: not known
    uint32_t sequence;   // of this delivery; grows by 1, wraps. ZCB_AUDIO_HAS_SEQUENCE
    uint32_t flags;      // HAS_...; DISCONTINUITY: the device lost something, who knows how much;
                         // SILENCE: the span comes as zeros, there is nothing to read
};

// Where frames go: plane[0] alone where samples are interleaved, else one for each channel. Lent
// until the next call for this sink on this thread.
struct zcb_audio_span {
    uint8_t *const *plane;
    uint32_t planes;
    uint32_t frames; // 1 to as many as asked for
    uint32_t bytes;  // of each plane, for `frames` frames
    bool dropped;    // a place to read into and forget: a duplicate, or no buffer was free. Commit
                     // it like any other: its frames are counted, and its delivery goes on by them
};

// Memory for the next `frames` frames, or the first part of them: the rest by another begin, with a
// stamp of NULL, after commit. There is always memory, since a device has to be read: what cannot
// or shall not be published is `dropped`. A span that was not committed is given up.
//
// `stamp` is judged first (NULL: more of the last delivery, then frames that follow it):
//
//     as expected, or within tolerance_frames   continuous; jitter counts those off by some
//     a gap: later by up to max_gap_frames      gaps, lost_frames; filled with silence up to
//                                               conceal_frames, else DISCONTINUITY
//     further off, either way                   jumps; DISCONTINUITY, the time is the device's
//     sequence over 64 behind or 65536 ahead    jumps; DISCONTINUITY
//     sequence seen before                      duplicates; dropped
//     sequence before the last, not seen        reordered; dropped, its gap has been dealt with
//     the last stamp's time again               duplicates; dropped. With a sequence in order:
//                                               clock_stops
//     time before what is expected              backwards; dropped. With a sequence in order it is
//                                               taken, and the time counted on
//     more than stall_after of these in a row   the same time each: clock_stops. Else as a jump
//     a clock that stopped                      taken, and the time counted on until it moves
//     the first time, after frames without      DISCONTINUITY, the time is the device's
//
// A sequence gap is taken for as many deliveries of `frames` frames, but where there is a time that
// is believed: that says how much is missing. Nothing is concealed in front of a stamp with
// DISCONTINUITY. Where time breaks, a packet that is under way ends short.
// 0; -EINVAL (NULL, frames 0 or above 2^24, unknown stamp flags, after end). Cost: O(1), and what
// concealing takes: at most conceal_frames of zeros, and a commit for each packet that they fill;
// DROP_OLDEST and OVERWRITE: O(buffers x consumers) when no buffer is free.
ZCB_API ZCB_MUST_CHECK int zcb_audio_sink_begin(struct zcb_audio_sink *sink, uint32_t frames,
                                                const struct zcb_audio_stamp *stamp,
                                                struct zcb_audio_span *out);

// The first `frames` frames of the span are written; 0 gives it up. Publishes the packet if that
// makes it full (or ZCB_AUDIO_AS_DELIVERED). Returns 1: published; 0: not (yet full, or dropped);
// -EINVAL: no span is out; -ERANGE: more frames than the span has, and nothing has changed.
// O(consumers).
ZCB_API ZCB_MUST_CHECK int zcb_audio_sink_commit(struct zcb_audio_sink *sink, uint32_t frames);

// begin, copy (counted, ZCB_COPY_COPY_TO) and commit, for devices that deliver in memory of their
// own: `bytes` bytes of each plane. With SILENCE in the stamp `planes` may be NULL. 0 bytes:
// nothing happens, the stamp is not looked at. Returns packets published; -EINVAL (begin's; planes
// NULL); -EBADMSG: not a whole number of frames. Nothing was taken then.
ZCB_API ZCB_MUST_CHECK int zcb_audio_sink_write(struct zcb_audio_sink *sink,
                                                const void *const *planes, size_t bytes,
                                                const struct zcb_audio_stamp *stamp);

// Publishes what is under way as a short packet. end: also says that nothing follows: consumers
// read what waits, then 0. NULL, or ended: nothing to do. O(consumers).
ZCB_API void zcb_audio_sink_flush(struct zcb_audio_sink *sink);
ZCB_API void zcb_audio_sink_end(struct zcb_audio_sink *sink);

// What may not be done on the capture thread: prepares buffers for peaks, gives back those that
// have been idle for 64 calls (one a call), wakes consumers. With helper_ms it is called for you;
// without, call it from any thread but the capture thread about once in a packet's time, or never:
// then there are `buffers` buffers, and consumers look for themselves.
// Returns how many buffers were prepared; -EINVAL; acquire's errors (the sink goes on as it is).
ZCB_API ZCB_MUST_CHECK int zcb_audio_sink_service(struct zcb_audio_sink *sink);

#define ZCB_AUDIO_SINK_STATS(X)                                                                    \
    X(frames, false, "frames committed, dropped ones not counted")                                 \
    X(packets, false, "packets published")                                                         \
    X(unheard, false, "of these with no consumer there")                                           \
    X(acquires, false, "buffers asked for, one a packet")                                          \
    X(recycled, false, "of these served by a buffer that had been out and came back")              \
    X(first_uses, false, "of these served by a new buffer")                                        \
    X(misses, false, "of these when no buffer was free; the policy decided")                       \
    X(drops_newest, false, "packets dropped because no buffer was free")                           \
    X(drops_oldest, false, "packets taken out of the queues for their memory")                     \
    X(overwritten, false, "packets given up with the whole backlog")                               \
    X(dropped_frames, false, "frames dropped for want of a buffer")                                \
    X(prepared, false, "buffers acquired from the pool")                                           \
    X(retired, false, "buffers given back to the pool")                                            \
    X(buffers, true, "buffers there are")                                                          \
    X(in_use, true, "of these out")                                                                \
    X(peak_in_use, true, "the most that were out")                                                 \
    X(jitter, false, "stamps off by no more than tolerance_frames")                                \
    X(gaps, false, "times that deliveries or frames were missing")                                 \
    X(lost_frames, false, "frames missing in gaps")                                                \
    X(concealed_frames, false, "of these filled with silence")                                     \
    X(jumps, false, "times that the device's time or sequence began anew")                         \
    X(duplicates, false, "deliveries dropped: had come before")                                    \
    X(reordered, false, "deliveries dropped: came too late")                                       \
    X(backwards, false, "times before what was expected")                                          \
    X(clock_stops, false, "times that the device's clock stood still")                             \
    X(late_wakeups, false, "deliveries that came after twice the time of the one before")          \
    X(bursts, false, "deliveries that came in less than half that time, after a late one")         \
    X(max_late_ns, true, "the longest time between two deliveries, beyond the first's duration")

struct zcb_audio_sink_stats {
    double hit_rate; // acquires that found a free buffer: 1 - misses / acquires; 0 before the first
#define ZCB_AUDIO_FIELD(name, gauge, help) uint64_t name;
    ZCB_AUDIO_SINK_STATS(ZCB_AUDIO_FIELD)
#undef ZCB_AUDIO_FIELD
};

// A snapshot; `out_size` is sizeof(*out) as the caller knows it. Exact while nobody is in a call.
// 0, -EINVAL. Any thread.
ZCB_API ZCB_MUST_CHECK int zcb_audio_sink_stats(const struct zcb_audio_sink *sink,
                                                struct zcb_audio_sink_stats *out, size_t out_size);

// ---- consumer

// What happens when a consumer's queue is full. None of it stops the capture thread, or another
// consumer.
enum zcb_audio_lag {
    ZCB_AUDIO_LAG_DROP_OLDEST, // the oldest that waits for it goes
    ZCB_AUDIO_LAG_SKIP,        // the oldest goes, and its next read skips to the newest
    ZCB_AUDIO_LAG_HOLD,        // what waits stays; what comes is not for it
};

struct zcb_audio_consumer_config {
    enum zcb_audio_lag lag;
    uint32_t depth;       // packets that may wait. 0: 8, or max_depth; at most max_depth
    uint32_t reserved[6]; // 0
};

// A reader from the next packet on; while capturing goes on, too: waits where the capture thread is
// about to put a packet into queues, until it has. `config` may be NULL.
// 0; -EINVAL (NULL, an unknown lag, a depth above max_depth, a reserved field); -ENOBUFS
// (max_consumers are there: close one).
ZCB_API ZCB_MUST_CHECK int zcb_audio_consumer_open(struct zcb_audio_sink *sink,
                                                   const struct zcb_audio_consumer_config *config,
                                                   struct zcb_audio_consumer **out);

// Drops what waits; sets *consumer to NULL. NULL is fine. Also after the sink was destroyed.
ZCB_API void zcb_audio_consumer_close(struct zcb_audio_consumer **consumer);

// The next packet, the caller's, with DISCONTINUITY also where this consumer's queue was full
// before it. Waits up to timeout_ms (0: not at all; UINT32_MAX: no limit).
// Returns 1; 0: the stream has ended and all was read; -EAGAIN (timeout 0) or -ETIMEDOUT: nothing
// came; -EINVAL (NULL). Does not allocate.
//
// The capture thread wakes nobody, as that takes a system call. With a helper, one who waits is
// woken by its next round: up to helper_ms late. Without, it looks by itself twice in a packet's
// time (every 1 to 20 ms) and whenever service() is called.
ZCB_API ZCB_MUST_CHECK int zcb_audio_consumer_read(struct zcb_audio_consumer *consumer,
                                                   uint32_t timeout_ms,
                                                   struct zcb_audio_packet *out);

// A descriptor that polls readable when packets wait, or the stream has ended; written to by
// service() alone, as late as above. Made at the first call; the consumer's: not to be read or
// closed. Read packets until -EAGAIN, then poll again.
// Returns it; -ENOTSUP (not on this system); a negative errno of eventfd(2).
ZCB_API ZCB_MUST_CHECK int zcb_audio_consumer_fd(struct zcb_audio_consumer *consumer);

// Packets that wait now. Any thread.
ZCB_API uint32_t zcb_audio_consumer_waiting(const struct zcb_audio_consumer *consumer);

#define ZCB_AUDIO_CONSUMER_STATS(X)                                                                \
    X(offered, false, "packets published while it was there")                                      \
    X(delivered, false, "of these read")                                                           \
    X(dropped_oldest, false, "of these dropped because newer ones came, or for their memory")      \
    X(skipped, false, "of these skipped on the way to the newest")                                 \
    X(refused, false, "of these not queued: the queue was full")                                   \
    X(discontinuities, false, "packets read that did not follow the one before")                   \
    X(peak_waiting, true, "the most that waited")                                                  \
    X(sleeps, false, "times that a read had to sleep")

struct zcb_audio_consumer_stats {
#define ZCB_AUDIO_FIELD(name, gauge, help) uint64_t name;
    ZCB_AUDIO_CONSUMER_STATS(ZCB_AUDIO_FIELD)
#undef ZCB_AUDIO_FIELD
};

// offered = delivered + dropped_oldest + skipped + refused + waiting, at rest. 0, -EINVAL. Any
// thread, until close.
ZCB_API ZCB_MUST_CHECK int zcb_audio_consumer_stats(const struct zcb_audio_consumer *consumer,
                                                    struct zcb_audio_consumer_stats *out,
                                                    size_t out_size);

#ifdef ZCB_HAVE_AUTO
#define ZCB_AUTO_AUDIO_PACKET ZCB_AUTO(zcb_audio_packet_unref)
#endif

#ifdef __cplusplus
}
#endif
#endif
