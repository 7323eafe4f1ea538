package dev.millrace.bench;

import java.time.Duration;
import java.util.HashSet;
import java.util.Set;
import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.typeutils.SetTypeInfo;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.windowing.WindowFunction;
import org.apache.flink.streaming.api.windowing.assigners.EventTimeSessionWindows;
import org.apache.flink.streaming.api.windowing.assigners.GlobalWindows;
import org.apache.flink.streaming.api.windowing.assigners.SlidingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.triggers.CountTrigger;
import org.apache.flink.streaming.api.windowing.triggers.PurgingTrigger;
import org.apache.flink.streaming.api.windowing.windows.GlobalWindow;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;

/** The jobs in the DataStream API: incremental aggregation in keyed event-time windows, heap state. */
final class DataStreamJobs {
  private static final Duration MINUTE = Duration.ofMinutes(1);
  private static final Duration SLIDE = Duration.ofSeconds(5);
  private static final Duration SESSION_GAP = Duration.ofSeconds(10);
  private static final long EVENTS_A_RESULT = 5;
  private static final Utf8Key.Info KEY = new Utf8Key.Info();

  private DataStreamJobs() {}

  /** One result; reused by the window function, the chained sink reads it at once. */
  public static final class Result {
    Utf8Key key;
    long windowStartMs;
    long first;
    long second;
  }

  /** Count and sum of revenue by person and minute. */
  static void tumbling(StreamExecutionEnvironment env, Options options) {
    Events.events(env, options, false)
        .keyBy(event -> event.key, KEY)
        .window(TumblingEventTimeWindows.of(MINUTE))
        .aggregate(
            new CountAndSum(),
            new EmitPair(),
            PrimitiveArrayTypeInfo.LONG_PRIMITIVE_ARRAY_TYPE_INFO,
            Types.GENERIC(Result.class))
        .uid("window")
        .sinkTo(new ResultSink<>(DataStreamJobs::formatPair, options.rowsDirectory()));
  }

  /** Count and sum of revenue by person in a minute, every five seconds. */
  static void sliding(StreamExecutionEnvironment env, Options options) {
    Events.events(env, options, false)
        .keyBy(event -> event.key, KEY)
        .window(SlidingEventTimeWindows.of(MINUTE, SLIDE))
        .aggregate(
            new CountAndSum(),
            new EmitPair(),
            PrimitiveArrayTypeInfo.LONG_PRIMITIVE_ARRAY_TYPE_INFO,
            Types.GENERIC(Result.class))
        .uid("window")
        .sinkTo(new ResultSink<>(DataStreamJobs::formatPair, options.rowsDirectory()));
  }

  /** Count and sum of revenue by person and session. */
  static void session(StreamExecutionEnvironment env, Options options) {
    Events.events(env, options, false)
        .keyBy(event -> event.key, KEY)
        .window(EventTimeSessionWindows.withGap(SESSION_GAP))
        .aggregate(
            new CountAndSum(),
            new EmitPair(),
            PrimitiveArrayTypeInfo.LONG_PRIMITIVE_ARRAY_TYPE_INFO,
            Types.GENERIC(Result.class))
        .uid("window")
        .sinkTo(new ResultSink<>(DataStreamJobs::formatPair, options.rowsDirectory()));
  }

  /** Count and sum of revenue of every five events of a person. */
  static void counted(StreamExecutionEnvironment env, Options options) {
    Events.events(env, options, false)
        .keyBy(event -> event.key, KEY)
        .window(GlobalWindows.create())
        .trigger(PurgingTrigger.of(CountTrigger.of(EVENTS_A_RESULT)))
        .aggregate(
            new CountAndSum(),
            new EmitCounted(),
            PrimitiveArrayTypeInfo.LONG_PRIMITIVE_ARRAY_TYPE_INFO,
            Types.GENERIC(Result.class))
        .uid("window")
        .sinkTo(new ResultSink<>(DataStreamJobs::formatPair, options.rowsDirectory()));
  }

  /** Exact distinct persons by screen and minute. */
  static void distinct(StreamExecutionEnvironment env, Options options) {
    Events.events(env, options, true)
        .keyBy(event -> event.key, KEY)
        .window(TumblingEventTimeWindows.of(MINUTE))
        .aggregate(
            new Persons(),
            new EmitOne(),
            new SetTypeInfo<>(KEY),
            Types.GENERIC(Result.class))
        .uid("window")
        .sinkTo(new ResultSink<>(DataStreamJobs::formatOne, options.rowsDirectory()));
  }

  private static void formatPair(Result row, Tally.RowText into) {
    into.key(row.key.bytes, row.key.start, row.key.length)
        .number(row.windowStartMs)
        .number(row.first)
        .number(row.second);
  }

  private static void formatOne(Result row, Tally.RowText into) {
    into.key(row.key.bytes, row.key.start, row.key.length).number(row.windowStartMs).number(row.first);
  }

  private static final class CountAndSum implements AggregateFunction<BenchEvent, long[], long[]> {
    private static final long serialVersionUID = 1L;

    @Override
    public long[] createAccumulator() {
      return new long[2];
    }

    @Override
    public long[] add(BenchEvent event, long[] accumulator) {
      accumulator[0]++;
      accumulator[1] = Math.addExact(accumulator[1], event.revenueMinor);
      return accumulator;
    }

    @Override
    public long[] getResult(long[] accumulator) {
      return accumulator;
    }

    @Override
    public long[] merge(long[] a, long[] b) {
      return new long[] {a[0] + b[0], Math.addExact(a[1], b[1])};
    }
  }

  private static final class Persons implements AggregateFunction<BenchEvent, Set<Utf8Key>, Long> {
    private static final long serialVersionUID = 1L;

    @Override
    public Set<Utf8Key> createAccumulator() {
      return new HashSet<>();
    }

    @Override
    public Set<Utf8Key> add(BenchEvent event, Set<Utf8Key> persons) {
      persons.add(event.person);
      return persons;
    }

    @Override
    public Long getResult(Set<Utf8Key> persons) {
      return (long) persons.size();
    }

    @Override
    public Set<Utf8Key> merge(Set<Utf8Key> a, Set<Utf8Key> b) {
      a.addAll(b);
      return a;
    }
  }

  private static final class EmitPair implements WindowFunction<long[], Result, Utf8Key, TimeWindow> {
    private static final long serialVersionUID = 1L;
    private transient Result reused;

    @Override
    public void apply(Utf8Key key, TimeWindow window, Iterable<long[]> values, Collector<Result> out) {
      if (reused == null) {
        reused = new Result();
      }
      long[] value = values.iterator().next();
      reused.key = key;
      reused.windowStartMs = window.getStart();
      reused.first = value[0];
      reused.second = value[1];
      out.collect(reused);
    }
  }

  private static final class EmitCounted implements WindowFunction<long[], Result, Utf8Key, GlobalWindow> {
    private static final long serialVersionUID = 1L;

    @Override
    public void apply(Utf8Key key, GlobalWindow window, Iterable<long[]> values, Collector<Result> out) {
      long[] value = values.iterator().next();
      Result result = new Result();
      result.key = key;
      result.first = value[0];
      result.second = value[1];
      out.collect(result);
    }
  }

  private static final class EmitOne implements WindowFunction<Long, Result, Utf8Key, TimeWindow> {
    private static final long serialVersionUID = 1L;
    private transient Result reused;

    @Override
    public void apply(Utf8Key key, TimeWindow window, Iterable<Long> values, Collector<Result> out) {
      if (reused == null) {
        reused = new Result();
      }
      reused.key = key;
      reused.windowStartMs = window.getStart();
      reused.first = values.iterator().next();
      out.collect(reused);
    }
  }
}
