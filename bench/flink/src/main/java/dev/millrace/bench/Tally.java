package dev.millrace.bench;

import java.util.Arrays;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicLong;

/**
 * What is counted across the threads of the mini-cluster: records read, result rows, and their checksum.
 *
 * <p>Static, because source, sink and main share one JVM but not their serialised instances. There is no restart
 * (the restart strategy is none), so nothing is counted twice.
 */
final class Tally {
  static final AtomicLong ROWS = new AtomicLong();
  static final AtomicLong CHECKSUM = new AtomicLong();
  private static final CopyOnWriteArrayList<Reads> READS = new CopyOnWriteArrayList<>();

  private Tally() {}

  /** Records read by one source subtask: written by its thread alone, read now and then by the monitor. */
  static final class Reads {
    private static final java.lang.invoke.VarHandle COUNT;

    static {
      try {
        COUNT = java.lang.invoke.MethodHandles.lookup().findVarHandle(Reads.class, "count", long.class);
      } catch (ReflectiveOperationException e) {
        throw new ExceptionInInitializerError(e);
      }
    }

    // Padding keeps two subtasks' counters out of one cache line.
    @SuppressWarnings("unused")
    private long p0, p1, p2, p3, p4, p5, p6, p7;

    private long count;

    @SuppressWarnings("unused")
    private long q0, q1, q2, q3, q4, q5, q6, q7;

    void increment() {
      COUNT.setOpaque(this, count + 1);
    }

    long count() {
      return (long) COUNT.getOpaque(this);
    }
  }

  static Reads newReads() {
    Reads reads = new Reads();
    READS.add(reads);
    return reads;
  }

  static long recordsRead() {
    long sum = 0;
    for (Reads reads : READS) {
      sum += reads.count();
    }
    return sum;
  }

  /**
   * The canonical text of a result row, {@code key|windowStartMs|value…}, and its MurmurHash3 x86 32-bit, seed 0. The
   * same as bench/rules.ts. An instance belongs to one sink subtask.
   */
  static final class RowText {
    private byte[] text = new byte[128];
    private int length;

    RowText key(byte[] bytes, int start, int size) {
      length = 0;
      room(size + 1);
      System.arraycopy(bytes, start, text, 0, size);
      length = size;
      return this;
    }

    RowText number(long value) {
      room(21);
      text[length++] = '|';
      if (value < 0) {
        text[length++] = '-';
        if (value == Long.MIN_VALUE) {
          throw new ArithmeticException("the smallest long has no row text");
        }
        value = -value;
      }
      int digits = 1;
      for (long rest = value / 10; rest != 0; rest /= 10) {
        digits++;
      }
      for (int i = length + digits - 1; i >= length; i--) {
        text[i] = (byte) ('0' + value % 10);
        value /= 10;
      }
      length += digits;
      return this;
    }

    private void room(int more) {
      if (length + more > text.length) {
        text = Arrays.copyOf(text, Math.max(text.length * 2, length + more));
      }
    }

    String text() {
      return new String(text, 0, length, java.nio.charset.StandardCharsets.UTF_8);
    }

    long hash() {
      int h = 0;
      int blocksEnd = length & ~3;
      int at = 0;
      while (at < blocksEnd) {
        int k = (text[at] & 0xff) | (text[at + 1] & 0xff) << 8 | (text[at + 2] & 0xff) << 16 | text[at + 3] << 24;
        h ^= scramble(k);
        h = Integer.rotateLeft(h, 13) * 5 + 0xe6546b64;
        at += 4;
      }
      int tail = 0;
      switch (length & 3) {
        case 3:
          tail ^= (text[at + 2] & 0xff) << 16;
        // falls through
        case 2:
          tail ^= (text[at + 1] & 0xff) << 8;
        // falls through
        case 1:
          tail ^= text[at] & 0xff;
          h ^= scramble(tail);
        // falls through
        default:
      }
      h ^= length;
      h ^= h >>> 16;
      h *= 0x85ebca6b;
      h ^= h >>> 13;
      h *= 0xc2b2ae35;
      h ^= h >>> 16;
      return h & 0xffffffffL;
    }

    private static int scramble(int k) {
      return Integer.rotateLeft(k * 0xcc9e2d51, 15) * 0x1b873593;
    }
  }
}
