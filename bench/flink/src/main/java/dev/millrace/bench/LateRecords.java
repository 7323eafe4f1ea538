package dev.millrace.bench;

import java.util.Properties;
import java.util.concurrent.CopyOnWriteArrayList;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.Metric;
import org.apache.flink.metrics.MetricConfig;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.metrics.reporter.MetricReporter;
import org.apache.flink.metrics.reporter.MetricReporterFactory;

/**
 * How many records Flink's windows dropped as late, by Flink's own counters ({@code numLateRecordsDropped}).
 *
 * <p>A metric reporter that only remembers the counters: nothing is added to the jobs.
 */
public final class LateRecords implements MetricReporter {
  private static final CopyOnWriteArrayList<Counter> COUNTERS = new CopyOnWriteArrayList<>();

  /** Found by Flink as a service. */
  public static final class Factory implements MetricReporterFactory {
    @Override
    public MetricReporter createMetricReporter(Properties properties) {
      return new LateRecords();
    }
  }

  static long dropped() {
    return COUNTERS.stream().mapToLong(Counter::getCount).sum();
  }

  @Override
  public void open(MetricConfig config) {}

  @Override
  public void close() {}

  @Override
  public void notifyOfAddedMetric(Metric metric, String name, MetricGroup group) {
    if (name.equals("numLateRecordsDropped") && metric instanceof Counter counter) {
      COUNTERS.add(counter);
    }
  }

  @Override
  public void notifyOfRemovedMetric(Metric metric, String name, MetricGroup group) {
    // Kept: a finished task removes its counters, and their last reading is what is asked for.
  }
}
