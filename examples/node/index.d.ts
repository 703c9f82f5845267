// SPDX-License-Identifier: MIT
//
// Who owns what: a packet or a buffer that a program was given is its own until release(). Its views
// (data, samples) are for that time, too: afterwards they show what the memory is used for next, or,
// where `checked` is set, nothing. What is forgotten comes back with the garbage collector, and is
// counted.
import { EventEmitter } from 'node:events';

export type Sample = 's16' | 's24' | 's24_32' | 's32' | 'f32' | 'f64';
export type Samples = Int16Array | Int32Array | Float32Array | Float64Array;

/** All have `code`: EINVAL, ERANGE, ENOBUFS, ENOMEM, EBADMSG, ERR_RELEASED, ERR_CLOSED ... */
export interface ZcbufError extends Error {
  code: string;
}

export interface Format {
  readonly rate: number;
  readonly channels: number;
  readonly sample: Sample;
  readonly planar: boolean;
  readonly sampleBytes: number;
}

export class Packet {
  private constructor();
  /** All bytes, for reading; planes, where planar, lie one behind the other. */
  readonly data: Uint8Array;
  /** The same as samples; undefined for s24. */
  readonly samples: Samples | undefined;
  /** Time of the first frame, in frames. */
  readonly pts: number;
  /** Of the packet in its capture, from 0. */
  readonly number: number;
  readonly frames: number;
  readonly byteLength: number;
  readonly flags: number;
  /** Something is missing in front of it. */
  readonly discontinuity: boolean;
  readonly silence: boolean;
  /** Some of it was put in for what was lost. */
  readonly concealed: boolean;
  readonly end: boolean;
  readonly released: boolean;
  readonly format: Format;
  /** One channel, where planar. */
  plane(channel: number): Samples | Uint8Array;
  /** A packet of its own of the same memory; release it as well. */
  slice(first?: number, frames?: number): Packet;
  /** Bytes of its own. */
  copy(): Uint8Array;
  /** The memory is the capture's again. Throws ERR_RELEASED the second time. */
  release(): void;
}

export interface Gap {
  pts: number;
  expected: number;
  /** Frames that are missing. */
  lost: number;
  number: number;
}

export interface ReaderOptions {
  /** Packets that may wait for it. Default: maxDepth. */
  depth?: number;
  /** When that many do. Default: drop-oldest. */
  lag?: 'drop-oldest' | 'skip' | 'hold';
  /** Packets are released when their handlers have returned, or the loop asks for the next. */
  autoRelease?: boolean;
}

export interface CaptureOptions extends ReaderOptions {
  /** Frames a second. Default: 48000. */
  rate?: number;
  /** Default: 2. */
  channels?: number;
  /** Default: f32. */
  sample?: Sample;
  planar?: boolean;
  /** The device; manual: the program, by write(). Default: ramp. */
  source?: 'ramp' | 'tone' | 'silence' | 'manual';
  /** How many times faster than time. Default: 1. */
  speed?: number;
  /** Frames that it delivers in all. Default: no end. */
  frames?: number;
  /** Of one delivery. Default: packetFrames. */
  periodFrames?: number;
  /** Default: 10 ms. */
  packetFrames?: number;
  /** Each commit is a packet. */
  asDelivered?: boolean;
  /** Buffers from the start. Default: 10. */
  buffers?: number;
  /** Buffers at peaks. Default: four times as many. */
  maxBuffers?: number;
  /** Buffers kept free. */
  spare?: number;
  /** When none is free. Default: drop-newest. */
  full?: 'drop-newest' | 'drop-oldest' | 'overwrite';
  maxReaders?: number;
  maxDepth?: number;
  toleranceFrames?: number;
  maxGapFrames?: number;
  concealFrames?: number;
  /** How late a program may learn of packets. Default: half a packet's time, 1 to 10. */
  wakeMs?: number;
  /** A new object for each packet, whose views have no bytes after release(). Slow: for debugging. */
  checked?: boolean;
  /** Copy packets to memory of V8's, as is done where it has no external buffers. */
  copies?: boolean;
  /** false: start() begins. */
  start?: boolean;
}

export interface Reader {
  on(event: 'data', listener: (packet: Packet) => void): this;
  on(event: 'gap', listener: (gap: Gap) => void): this;
  on(event: 'end' | 'close', listener: () => void): this;
  on(event: 'error', listener: (error: ZcbufError) => void): this;
  on(event: string | symbol, listener: (...args: any[]) => void): this;
}

export class Reader extends EventEmitter implements AsyncIterable<Packet> {
  protected constructor();
  readonly format: Format;
  readonly ended: boolean;
  readonly closed: boolean;
  /** The next packet; null: none is there now. */
  read(): Packet | null;
  /** Fills `array` from its front on; how many. No object is made for it. */
  readBatch(array: Packet[], max?: number): number;
  /** The next packet; null: the stream has ended, or the reader was closed. */
  next(): Promise<Packet | null>;
  [Symbol.asyncIterator](): AsyncIterator<Packet>;
  /** What is there at a time, in one array that is used again. */
  batches(size?: number): AsyncGenerator<Packet[]>;
  pause(): this;
  resume(): this;
  readerStats(): Record<string, number>;
  close(): void;
}

export interface CaptureStats {
  hitRate: number;
  packets: number;
  frames: number;
  acquires: number;
  recycled: number;
  firstUses: number;
  misses: number;
  buffers: number;
  inUse: number;
  peakInUse: number;
  gaps: number;
  lostFrames: number;
  /** Packets and slices that the program has. */
  out: number;
  /** Packets that it dropped without release(). */
  forgotten: number;
  copies: boolean;
  copiedBytes: number;
  skippedFrames: number;
  reader: Record<string, number>;
  [name: string]: number | boolean | Record<string, number>;
}

export class Capture extends Reader {
  constructor(options?: CaptureOptions);
  start(): this;
  /** Another reader, from the next packet on. */
  reader(options?: ReaderOptions): Reader;
  /** For `source: 'manual'`; how many packets were made. */
  write(samples: ArrayBufferView, stamp?: {
    pts?: number; sequence?: number; discontinuity?: boolean; silence?: boolean;
  }): number;
  flush(): void;
  end(): void;
  releaseBatch(packets: Packet[], n?: number): void;
  stats(): CaptureStats;
}

export interface Tier {
  /** Bytes: a multiple of 64. */
  size: number;
  /** Buffers from the start. */
  prealloc?: number;
  /** Buffers at most; 0: no limit. */
  max?: number;
}

export interface PoolOptions {
  /** Ascending. Default: 4096, 16384, 65536. */
  tiers?: Tier[];
  /** Memory at most; 0: no limit. */
  maxBytes?: number;
  /** false: nothing above the largest tier. */
  oversize?: boolean;
  /** Beyond a tier's max: single allocations. */
  grow?: boolean;
  /** Zeros on release. */
  clear?: boolean;
  checked?: boolean;
  copies?: boolean;
}

export class PoolBuffer {
  private constructor();
  /** As many bytes as were asked for. */
  readonly data: Uint8Array;
  /** All that there are. */
  readonly whole: Uint8Array;
  readonly length: number;
  readonly capacity: number;
  readonly released: boolean;
  release(): void;
}

export class Pool {
  constructor(options?: PoolOptions);
  /** null: a limit is reached. */
  acquire(length: number): PoolBuffer | null;
  release(buffer: PoolBuffer): void;
  /** Buffers, objects and views for `count` of them; how many there are. */
  warm(length: number, count: number): number;
  /** Gives idle memory back; bytes. */
  trim(): number;
  stats(): Record<string, number>;
  close(): void;
}
