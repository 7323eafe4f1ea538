package dev.millrace.bench;

import java.io.IOException;
import java.time.Duration;
import java.util.HashSet;
import java.util.Set;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.api.java.tuple.Tuple3;
import org.apache.flink.api.java.tuple.Tuple4;
import org.apache.flink.api.java.typeutils.SetTypeInfo;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.windowing.WindowFunction;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/**
 * The two jobs as a Flink user would write them: Flink's own types (tuples of strings and longs) and serialisers.
 *
 * <p>Not the rival of the comparison, which is the faster {@link DataStreamJobs}: this one says how much of that speed
 * comes from the hand-made key type.
 */
final class IdiomaticJobs {
  private static final Duration MINUTE = Duration.ofMinutes(1);

  private IdiomaticJobs() {}

  /** Count and sum of revenue by person and minute. */
  static void tumbling(StreamExecutionEnvironment env, Options options) {
    events(env, options)
        .keyBy(event -> event.f0, Types.STRING)
        .window(TumblingEventTimeWindows.of(MINUTE))
        .aggregate(
            new CountAndSum(),
            new Emit<Tuple2<Long, Long>>() {
              @Override
              Tuple4<String, Long, Long, Long> row(String key, long windowStartMs, Tuple2<Long, Long> value) {
                return Tuple4.of(key, windowStartMs, value.f0, value.f1);
              }
            },
            Types.TUPLE(Types.LONG, Types.LONG),
            Types.TUPLE(Types.STRING, Types.LONG, Types.LONG, Types.LONG))
        .sinkTo(new ResultSink<>((row, into) -> format(row, into).number(row.f3), options.rowsDirectory()));
  }

  /** Exact distinct persons by screen and minute. */
  static void distinct(StreamExecutionEnvironment env, Options options) {
    events(env, options)
        .keyBy(event -> event.f1, Types.STRING)
        .window(TumblingEventTimeWindows.of(MINUTE))
        .aggregate(
            new Persons(),
            new Emit<Long>() {
              @Override
              Tuple4<String, Long, Long, Long> row(String key, long windowStartMs, Long value) {
                return Tuple4.of(key, windowStartMs, value, 0L);
              }
            },
            new SetTypeInfo<>(Types.STRING),
            Types.TUPLE(Types.STRING, Types.LONG, Types.LONG, Types.LONG))
        .sinkTo(new ResultSink<>((row, into) -> format(row, into), options.rowsDirectory()));
  }

  private static Tally.RowText format(Tuple4<String, Long, Long, Long> row, Tally.RowText into) {
    byte[] key = row.f0.getBytes(java.nio.charset.StandardCharsets.UTF_8);
    return into.key(key, 0, key.length).number(row.f1).number(row.f2);
  }

  private static org.apache.flink.streaming.api.datastream.DataStream<Tuple3<String, String, Long>> events(
      StreamExecutionEnvironment env, Options options) {
    return env.fromSource(
        Events.source(options, new TupleSchema()),
        WatermarkStrategy.<Tuple3<String, String, Long>>forBoundedOutOfOrderness(Events.OUT_OF_ORDERNESS)
            .withTimestampAssigner((event, kafkaTimestamp) -> ((TimedTuple) event).timestampMs),
        "events",
        Types.TUPLE(Types.STRING, Types.STRING, Types.LONG));
  }

  /** Person, screen, revenue; and the time for the watermark assigner. */
  public static final class TimedTuple extends Tuple3<String, String, Long> {
    private static final long serialVersionUID = 1L;
    transient long timestampMs;
  }

  private static final class TupleSchema implements KafkaRecordDeserializationSchema<Tuple3<String, String, Long>> {
    private static final long serialVersionUID = 1L;
    private transient EventReader reader;
    private transient TimedTuple event;
    private transient Tally.Reads reads;

    @Override
    public void open(DeserializationSchema.InitializationContext context) {
      reader = new EventReader();
      event = new TimedTuple();
      reads = Tally.newReads();
    }

    @Override
    public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<Tuple3<String, String, Long>> out)
        throws IOException {
      EventReader from = reader;
      from.read(record.value());
      event.f0 = new String(from.bytes, from.personStart, from.personLength, java.nio.charset.StandardCharsets.UTF_8);
      event.f1 = new String(from.bytes, from.screenStart, from.screenLength, java.nio.charset.StandardCharsets.UTF_8);
      event.f2 = from.revenueMinor;
      event.timestampMs = from.timestampMs;
      reads.increment();
      out.collect(event);
    }

    @Override
    public TypeInformation<Tuple3<String, String, Long>> getProducedType() {
      return Types.TUPLE(Types.STRING, Types.STRING, Types.LONG);
    }
  }

  private static final class CountAndSum
      implements AggregateFunction<Tuple3<String, String, Long>, Tuple2<Long, Long>, Tuple2<Long, Long>> {
    private static final long serialVersionUID = 1L;

    @Override
    public Tuple2<Long, Long> createAccumulator() {
      return Tuple2.of(0L, 0L);
    }

    @Override
    public Tuple2<Long, Long> add(Tuple3<String, String, Long> event, Tuple2<Long, Long> accumulator) {
      accumulator.f0++;
      accumulator.f1 += event.f2;
      return accumulator;
    }

    @Override
    public Tuple2<Long, Long> getResult(Tuple2<Long, Long> accumulator) {
      return accumulator;
    }

    @Override
    public Tuple2<Long, Long> merge(Tuple2<Long, Long> a, Tuple2<Long, Long> b) {
      return Tuple2.of(a.f0 + b.f0, a.f1 + b.f1);
    }
  }

  private static final class Persons implements AggregateFunction<Tuple3<String, String, Long>, Set<String>, Long> {
    private static final long serialVersionUID = 1L;

    @Override
    public Set<String> createAccumulator() {
      return new HashSet<>();
    }

    @Override
    public Set<String> add(Tuple3<String, String, Long> event, Set<String> persons) {
      persons.add(event.f0);
      return persons;
    }

    @Override
    public Long getResult(Set<String> persons) {
      return (long) persons.size();
    }

    @Override
    public Set<String> merge(Set<String> a, Set<String> b) {
      a.addAll(b);
      return a;
    }
  }

  private abstract static class Emit<T> implements WindowFunction<T, Tuple4<String, Long, Long, Long>, String, TimeWindow> {
    private static final long serialVersionUID = 1L;

    abstract Tuple4<String, Long, Long, Long> row(String key, long windowStartMs, T value);

    @Override
    public void apply(
        String key, TimeWindow window, Iterable<T> values, Collector<Tuple4<String, Long, Long, Long>> out) {
      out.collect(row(key, window.getStart(), values.iterator().next()));
    }
  }
}
