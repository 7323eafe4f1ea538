package dev.millrace.bench;

import java.io.IOException;
import java.time.Duration;
import org.apache.flink.api.common.eventtime.BoundedOutOfOrdernessWatermarks;
import org.apache.flink.api.common.eventtime.WatermarkGenerator;
import org.apache.flink.api.common.eventtime.WatermarkOutput;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.binary.BinaryStringData;
import org.apache.flink.table.runtime.typeutils.InternalTypeInfo;
import org.apache.flink.table.types.logical.BigIntType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.table.types.logical.VarCharType;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/** The source of both APIs: a Kafka topic, read to the end offsets found at the start, with per-partition watermarks. */
final class Events {
  static final Duration OUT_OF_ORDERNESS = Duration.ofSeconds(5);

  /** The columns of SQL; the last only carries the event time to the watermark assigner, queries do not read it. */
  static final InternalTypeInfo<RowData> ROW_TYPE =
      InternalTypeInfo.of(
          RowType.of(
              new LogicalType[] {
                new VarCharType(VarCharType.MAX_LENGTH),
                new VarCharType(VarCharType.MAX_LENGTH),
                new BigIntType(),
                new BigIntType()
              },
              new String[] {"person", "screen", "revenue_minor", "occurred_at_ms"}));

  private Events() {}

  static SingleOutputStreamOperator<BenchEvent> events(
      StreamExecutionEnvironment env, Options options, boolean withPerson) {
    WatermarkStrategy<BenchEvent> strategy =
        Events.<BenchEvent>watermarks(options)
            .withTimestampAssigner((event, kafkaTimestamp) -> event.timestampMs);
    return env.fromSource(source(options, new EventSchema(withPerson)), strategy, "events").uid("events");
  }

  static SingleOutputStreamOperator<RowData> rows(StreamExecutionEnvironment env, Options options) {
    WatermarkStrategy<RowData> strategy =
        Events.<RowData>watermarks(options)
            .withTimestampAssigner((row, kafkaTimestamp) -> row.getLong(3));
    return env.fromSource(source(options, new RowSchema()), strategy, "events", ROW_TYPE).uid("events");
  }

  /**
   * Bounded disorder. By default a watermark every 200 ms, as Flink has it; the variant {@code per-event} gives one after
   * each event, so that which events are late depends on the order of the topic alone.
   */
  private static <T> WatermarkStrategy<T> watermarks(Options options) {
    if (!options.variant().contains("per-event")) {
      return WatermarkStrategy.forBoundedOutOfOrderness(OUT_OF_ORDERNESS);
    }
    return WatermarkStrategy.forGenerator(context -> new PerEventWatermarks<>());
  }

  /** Flink's own generator, asked after each event. */
  private static final class PerEventWatermarks<T> implements WatermarkGenerator<T> {
    private final WatermarkGenerator<T> bounded = new BoundedOutOfOrdernessWatermarks<>(OUT_OF_ORDERNESS);

    @Override
    public void onEvent(T event, long timestampMs, WatermarkOutput output) {
      bounded.onEvent(event, timestampMs, output);
      bounded.onPeriodicEmit(output);
    }

    @Override
    public void onPeriodicEmit(WatermarkOutput output) {}
  }

  static <T> KafkaSource<T> source(Options options, KafkaRecordDeserializationSchema<T> schema) {
    return KafkaSource.<T>builder()
        .setBootstrapServers(options.brokers())
        .setTopics(options.topic())
        .setGroupId("flink-rival")
        .setStartingOffsets(OffsetsInitializer.earliest())
        .setBounded(OffsetsInitializer.latest())
        .setDeserializer(schema)
        .setProperty("commit.offsets.on.checkpoint", "false")
        // More records a poll than Kafka's default of 500: measured faster.
        .setProperty("max.poll.records", Integer.toString(options.maxPollRecords()))
        .setProperty("receive.buffer.bytes", "1048576")
        .build();
  }

  /** One reused event a subtask: downstream serialises or aggregates it at once (object reuse is on). */
  private static final class EventSchema implements KafkaRecordDeserializationSchema<BenchEvent> {
    private static final long serialVersionUID = 1L;
    private final boolean withPerson;
    private transient EventReader reader;
    private transient BenchEvent event;
    private transient Tally.Reads reads;

    EventSchema(boolean withPerson) {
      this.withPerson = withPerson;
    }

    @Override
    public void open(DeserializationSchema.InitializationContext context) {
      reader = new EventReader();
      event = new BenchEvent();
      reads = Tally.newReads();
    }

    @Override
    public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<BenchEvent> out) throws IOException {
      EventReader from = reader;
      BenchEvent to = event;
      from.read(record.value());
      to.timestampMs = from.timestampMs;
      if (withPerson) {
        to.key.set(from.bytes, from.screenStart, from.screenLength);
        to.person.set(from.bytes, from.personStart, from.personLength);
      } else {
        to.key.set(from.bytes, from.personStart, from.personLength);
        to.revenueMinor = from.revenueMinor;
      }
      reads.increment();
      out.collect(to);
    }

    @Override
    public TypeInformation<BenchEvent> getProducedType() {
      return new BenchEvent.Info(withPerson);
    }
  }

  private static final class RowSchema implements KafkaRecordDeserializationSchema<RowData> {
    private static final long serialVersionUID = 1L;
    private transient EventReader reader;
    private transient Tally.Reads reads;

    @Override
    public void open(DeserializationSchema.InitializationContext context) {
      reader = new EventReader();
      reads = Tally.newReads();
    }

    @Override
    public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<RowData> out) throws IOException {
      EventReader from = reader;
      from.read(record.value());
      GenericRowData row = new GenericRowData(4);
      row.setField(0, BinaryStringData.fromBytes(from.bytes, from.personStart, from.personLength));
      row.setField(1, BinaryStringData.fromBytes(from.bytes, from.screenStart, from.screenLength));
      row.setField(2, from.revenueMinor);
      row.setField(3, from.timestampMs);
      reads.increment();
      out.collect(row);
    }

    @Override
    public TypeInformation<RowData> getProducedType() {
      return ROW_TYPE;
    }
  }
}
