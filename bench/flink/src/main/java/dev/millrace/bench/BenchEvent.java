package dev.millrace.bench;

import java.io.IOException;
import org.apache.flink.api.common.serialization.SerializerConfig;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeutils.SimpleTypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.base.TypeSerializerSingleton;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;

/**
 * The fields of millrace.v1.Event that a job needs, nothing else: a key, and either an amount or a person.
 *
 * <p>The event time travels as the timestamp of Flink's stream record, so it is not serialised a second time.
 */
public final class BenchEvent {
  /** Person (tumbling) or screen (distinct). */
  Utf8Key key = new Utf8Key();

  /** Person (distinct). */
  Utf8Key person = new Utf8Key();

  long revenueMinor;
  long timestampMs;

  /** Type information of one of the two shapes. */
  public static final class Info extends TypeInformation<BenchEvent> {
    private static final long serialVersionUID = 1L;
    private final boolean withPerson;

    Info(boolean withPerson) {
      this.withPerson = withPerson;
    }

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
      return 2;
    }

    @Override
    public int getTotalFields() {
      return 2;
    }

    @Override
    public Class<BenchEvent> getTypeClass() {
      return BenchEvent.class;
    }

    @Override
    public boolean isKeyType() {
      return false;
    }

    @Override
    public TypeSerializer<BenchEvent> createSerializer(SerializerConfig config) {
      return withPerson ? new VisitSerializer() : new SpendSerializer();
    }

    @Override
    public String toString() {
      return "BenchEvent";
    }

    @Override
    public boolean equals(Object other) {
      return other instanceof Info that && that.withPerson == withPerson;
    }

    @Override
    public int hashCode() {
      return Boolean.hashCode(withPerson);
    }

    @Override
    public boolean canEqual(Object other) {
      return other instanceof Info;
    }
  }

  /** What both shapes share; an event is never in state, so only the exchange between threads uses these. */
  private abstract static class BaseSerializer extends TypeSerializerSingleton<BenchEvent> {
    private static final long serialVersionUID = 1L;

    @Override
    public boolean isImmutableType() {
      return false;
    }

    @Override
    public BenchEvent createInstance() {
      return new BenchEvent();
    }

    @Override
    public BenchEvent copy(BenchEvent from) {
      BenchEvent to = new BenchEvent();
      to.key = owned(from.key);
      to.person = owned(from.person);
      to.revenueMinor = from.revenueMinor;
      to.timestampMs = from.timestampMs;
      return to;
    }

    private static Utf8Key owned(Utf8Key from) {
      Utf8Key to = new Utf8Key();
      if (from.bytes != null) {
        to.set(java.util.Arrays.copyOfRange(from.bytes, from.start, from.start + from.length), 0, from.length);
      }
      return to;
    }

    @Override
    public BenchEvent copy(BenchEvent from, BenchEvent reuse) {
      return copy(from);
    }

    @Override
    public int getLength() {
      return -1;
    }

    @Override
    public BenchEvent deserialize(BenchEvent reuse, DataInputView source) throws IOException {
      return deserialize(source);
    }

    @Override
    public void copy(DataInputView source, DataOutputView target) throws IOException {
      serialize(deserialize(source), target);
    }
  }

  /** Key and amount. */
  public static final class SpendSerializer extends BaseSerializer {
    private static final long serialVersionUID = 1L;

    @Override
    public void serialize(BenchEvent event, DataOutputView target) throws IOException {
      event.key.write(target);
      target.writeLong(event.revenueMinor);
    }

    @Override
    public BenchEvent deserialize(DataInputView source) throws IOException {
      BenchEvent event = new BenchEvent();
      event.key = Utf8Key.read(source);
      event.revenueMinor = source.readLong();
      return event;
    }

    @Override
    public TypeSerializerSnapshot<BenchEvent> snapshotConfiguration() {
      return new Snapshot();
    }

    /** The snapshot's description of the serialiser. */
    public static final class Snapshot extends SimpleTypeSerializerSnapshot<BenchEvent> {
      public Snapshot() {
        super(SpendSerializer::new);
      }
    }
  }

  /** Key and person. */
  public static final class VisitSerializer extends BaseSerializer {
    private static final long serialVersionUID = 1L;

    @Override
    public void serialize(BenchEvent event, DataOutputView target) throws IOException {
      event.key.write(target);
      event.person.write(target);
    }

    @Override
    public BenchEvent deserialize(DataInputView source) throws IOException {
      BenchEvent event = new BenchEvent();
      event.key = Utf8Key.read(source);
      event.person = Utf8Key.read(source);
      return event;
    }

    @Override
    public TypeSerializerSnapshot<BenchEvent> snapshotConfiguration() {
      return new Snapshot();
    }

    /** The snapshot's description of the serialiser. */
    public static final class Snapshot extends SimpleTypeSerializerSnapshot<BenchEvent> {
      public Snapshot() {
        super(VisitSerializer::new);
      }
    }
  }
}
