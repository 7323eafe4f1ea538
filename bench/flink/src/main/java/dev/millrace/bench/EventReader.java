package dev.millrace.bench;

import java.io.IOException;

/**
 * Reads the four fields that the jobs need from the wire form of millrace.v1.Event, and skips the rest by length.
 *
 * <p>Written by hand because that is faster than generated code: no message object, no string is made. An instance
 * belongs to one thread; its fields hold the last event read, strings as ranges of {@code bytes}.
 */
final class EventReader {
  private static final int PERSON = 2;
  private static final int OCCURRED_AT = 7;
  private static final int SCREEN = 11;
  private static final int REVENUE_MINOR = 12;

  byte[] bytes;
  int personStart;
  int personLength;
  int screenStart;
  int screenLength;
  long revenueMinor;
  long timestampMs;

  private int at;

  void read(byte[] value) throws IOException {
    bytes = value;
    personStart = personLength = screenStart = screenLength = 0;
    revenueMinor = 0;
    timestampMs = 0;
    at = 0;
    int end = value.length;
    while (at < end) {
      int tag = (int) varint();
      int field = tag >>> 3;
      switch (tag & 7) {
        case 0 -> {
          long number = varint();
          if (field == REVENUE_MINOR) {
            revenueMinor = number;
          }
        }
        case 1 -> at += 8;
        case 2 -> {
          int size = (int) varint();
          int start = at;
          at = start + size;
          if (size < 0 || at > end) {
            throw new IOException("field " + field + " reaches beyond the event");
          }
          if (field == PERSON) {
            personStart = start;
            personLength = size;
          } else if (field == SCREEN) {
            screenStart = start;
            screenLength = size;
          } else if (field == OCCURRED_AT) {
            timestampMs = timestamp(start, at);
          }
        }
        case 5 -> at += 4;
        default -> throw new IOException("wire type " + (tag & 7) + " of field " + field);
      }
    }
  }

  /** Epoch milliseconds of a google.protobuf.Timestamp. */
  private long timestamp(int start, int end) throws IOException {
    int resume = at;
    long seconds = 0;
    long nanos = 0;
    at = start;
    while (at < end) {
      int tag = (int) varint();
      long number = varint();
      if (tag == 8) {
        seconds = number;
      } else if (tag == 16) {
        nanos = number;
      }
    }
    at = resume;
    return seconds * 1000 + nanos / 1_000_000;
  }

  private long varint() throws IOException {
    byte[] from = bytes;
    int b = from[at++];
    if (b >= 0) {
      return b;
    }
    long result = b & 0x7f;
    for (int shift = 7; shift < 64; shift += 7) {
      b = from[at++];
      result |= (long) (b & 0x7f) << shift;
      if (b >= 0) {
        return result;
      }
    }
    throw new IOException("a varint longer than ten bytes");
  }
}
