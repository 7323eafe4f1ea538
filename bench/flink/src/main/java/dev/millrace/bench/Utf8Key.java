package dev.millrace.bench;

import java.io.IOException;
import java.util.Objects;
import org.apache.flink.api.common.serialization.SerializerConfig;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeutils.SimpleTypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.base.TypeSerializerSingleton;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;

/**
 * A UTF-8 string as a range of bytes: the key and set element of the jobs.
 *
 * <p>Faster here than java.lang.String: it is never decoded, and between threads it is copied as bytes. The source
 * points one reused instance into the record's value; every instance made by deserialising owns its bytes and is
 * never changed again.
 */
public final class Utf8Key {
  byte[] bytes;
  int start;
  int length;
  private int hash;

  void set(byte[] source, int from, int size) {
    bytes = source;
    start = from;
    length = size;
    hash = 0;
  }

  @Override
  public int hashCode() {
    int h = hash;
    if (h == 0) {
      for (int i = start, end = start + length; i < end; i++) {
        h = 31 * h + bytes[i];
      }
      hash = h;
    }
    return h;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Utf8Key that
        && java.util.Arrays.equals(bytes, start, start + length, that.bytes, that.start, that.start + that.length);
  }

  @Override
  public String toString() {
    return new String(bytes, start, length, java.nio.charset.StandardCharsets.UTF_8);
  }

  /** Writes a length of one or two bytes, then the bytes. */
  void write(DataOutputView target) throws IOException {
    int size = length;
    if (size < 0x80) {
      target.writeByte(size);
    } else {
      if (size > 0x7fff) {
        throw new IOException("a key of " + size + " bytes is longer than the rival's 32767");
      }
      target.writeByte(0x80 | (size >>> 8));
      target.writeByte(size);
    }
    target.write(bytes, start, size);
  }

  static Utf8Key read(DataInputView source) throws IOException {
    int size = source.readUnsignedByte();
    if ((size & 0x80) != 0) {
      size = ((size & 0x7f) << 8) | source.readUnsignedByte();
    }
    byte[] owned = new byte[size];
    source.readFully(owned);
    Utf8Key key = new Utf8Key();
    key.set(owned, 0, size);
    return key;
  }

  /** Type information, so that Flink neither reflects nor falls back to Kryo. */
  public static final class Info extends TypeInformation<Utf8Key> {
    private static final long serialVersionUID = 1L;

    @Override
    public boolean isBasicType() {
      return false;
    }

    @Override
    public boolean isTupleType() {
      return false;
    }

    @Override
    public int getArity() {
      return 1;
    }

    @Override
    public int getTotalFields() {
      return 1;
    }

    @Override
    public Class<Utf8Key> getTypeClass() {
      return Utf8Key.class;
    }

    @Override
    public boolean isKeyType() {
      return true;
    }

    @Override
    public TypeSerializer<Utf8Key> createSerializer(SerializerConfig config) {
      return Serializer.INSTANCE;
    }

    @Override
    public String toString() {
      return "Utf8Key";
    }

    @Override
    public boolean equals(Object other) {
      return other instanceof Info;
    }

    @Override
    public int hashCode() {
      return Objects.hash(Info.class);
    }

    @Override
    public boolean canEqual(Object other) {
      return other instanceof Info;
    }
  }

  /** The serialiser of keys in state and snapshots. */
  public static final class Serializer extends TypeSerializerSingleton<Utf8Key> {
    private static final long serialVersionUID = 1L;
    static final Serializer INSTANCE = new Serializer();

    @Override
    public boolean isImmutableType() {
      return true;
    }

    @Override
    public Utf8Key createInstance() {
      return new Utf8Key();
    }

    @Override
    public Utf8Key copy(Utf8Key from) {
      return from;
    }

    @Override
    public Utf8Key copy(Utf8Key from, Utf8Key reuse) {
      return from;
    }

    @Override
    public int getLength() {
      return -1;
    }

    @Override
    public void serialize(Utf8Key key, DataOutputView target) throws IOException {
      key.write(target);
    }

    @Override
    public Utf8Key deserialize(DataInputView source) throws IOException {
      return read(source);
    }

    @Override
    public Utf8Key deserialize(Utf8Key reuse, DataInputView source) throws IOException {
      return read(source);
    }

    @Override
    public void copy(DataInputView source, DataOutputView target) throws IOException {
      read(source).write(target);
    }

    @Override
    public TypeSerializerSnapshot<Utf8Key> snapshotConfiguration() {
      return new Snapshot();
    }

    /** The snapshot's description of the serialiser. */
    public static final class Snapshot extends SimpleTypeSerializerSnapshot<Utf8Key> {
      public Snapshot() {
        super(() -> INSTANCE);
      }
    }
  }
}
