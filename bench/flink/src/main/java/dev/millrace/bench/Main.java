package dev.millrace.bench;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.execution.CheckpointingMode;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * Runs one job on a local mini-cluster in this JVM, to the end of the topic, and prints JSON lines: progress each
 * second, then one result.
 */
public final class Main {
  private Main() {}

  public static void main(String[] arguments) throws Exception {
    Options options = Options.parse(arguments);
    Path checkpoints = Path.of(options.checkpointDirectory());
    Files.createDirectories(checkpoints);
    if (options.rowsDirectory() != null) {
      Files.createDirectories(Path.of(options.rowsDirectory()));
    }

    StreamExecutionEnvironment env =
        StreamExecutionEnvironment.createLocalEnvironment(options.parallelism(), configuration(options, checkpoints));
    env.getConfig().enableObjectReuse();
    if (options.checkpointMs() > 0) {
      env.enableCheckpointing(options.checkpointMs(), CheckpointingMode.EXACTLY_ONCE);
    }
    define(env, options);

    Monitor monitor = new Monitor(checkpoints, options.warmupSeconds());
    long startNs = System.nanoTime();
    monitor.start();
    JobClient client = env.executeAsync(options.job() + "-" + options.api());
    boolean complete = await(client, options.maxSeconds());
    double wallSeconds = (System.nanoTime() - startNs) / 1e9;
    String measured = monitor.finish();
    System.out.printf(
        java.util.Locale.ROOT,
        "{\"type\":\"result\",\"case\":\"%s\",\"api\":\"%s\",\"parallelism\":%d,\"complete\":%b,%s,"
            + "\"wallSeconds\":%.3f,\"rows\":%d,\"checksum\":%d,\"late\":%d,\"rssPeakBytes\":%d,\"heapMaxBytes\":%d,"
            + "\"gcSeconds\":%.3f}%n",
        options.job(),
        options.api(),
        options.parallelism(),
        complete,
        measured,
        wallSeconds,
        Tally.ROWS.get(),
        Tally.CHECKSUM.get() & 0xffffffffL,
        LateRecords.dropped(),
        peakRssBytes(),
        Runtime.getRuntime().maxMemory(),
        gcSeconds());
    System.out.flush();
    // The mini-cluster's threads would hold the process for some seconds more.
    Runtime.getRuntime().halt(0);
  }

  private static Configuration configuration(Options options, Path checkpoints) {
    Configuration configuration = new Configuration();
    configuration.setString("state.backend.type", "hashmap");
    configuration.setString("execution.checkpointing.storage", "filesystem");
    configuration.setString("execution.checkpointing.dir", checkpoints.toUri().toString());
    configuration.setString("restart-strategy.type", "none");
    configuration.setString("metrics.reporter.late.factory.class", LateRecords.Factory.class.getName());
    configuration.setString("rest.port", "0");
    configuration.setString("rest.bind-port", "0");
    return configuration;
  }

  private static void define(StreamExecutionEnvironment env, Options options) {
    switch (options.job() + "/" + options.api()) {
      case "tumbling/datastream" -> DataStreamJobs.tumbling(env, options);
      case "tumbling/idiomatic" -> IdiomaticJobs.tumbling(env, options);
      case "distinct/idiomatic" -> IdiomaticJobs.distinct(env, options);
      case "tumbling/sql" -> SqlJobs.tumbling(env, options);
      case "distinct/datastream" -> DataStreamJobs.distinct(env, options);
      case "session/datastream" -> DataStreamJobs.session(env, options);
      case "sliding/datastream" -> DataStreamJobs.sliding(env, options);
      case "sliding/sql" -> SqlJobs.sliding(env, options);
      case "session/sql" -> SqlJobs.session(env, options);
      case "cumulate/sql" -> SqlJobs.cumulate(env, options);
      case "counted/datastream" -> DataStreamJobs.counted(env, options);
      case "product-actives/sql" -> SqlJobs.productActives(env, options);
      case "product-sessions/sql" -> SqlJobs.productSessions(env, options);
      case "product-pages/sql" -> SqlJobs.productPages(env, options);
      case "distinct/sql" -> SqlJobs.distinct(env, options);
      default -> throw new IllegalArgumentException("no job " + options.job() + " in the " + options.api() + " API");
    }
  }

  /** Whether the job came to its end; false when {@code maxSeconds} (0: no limit) passed first and it was cancelled. */
  private static boolean await(JobClient client, double maxSeconds) throws Exception {
    if (maxSeconds <= 0) {
      client.getJobExecutionResult().get();
      return true;
    }
    try {
      client.getJobExecutionResult().get((long) (maxSeconds * 1000), TimeUnit.MILLISECONDS);
      return true;
    } catch (TimeoutException e) {
      client.cancel().get();
      return false;
    }
  }

  /** Time in collections that stop the jobs, since the start. */
  private static double gcSeconds() {
    long millis = 0;
    for (var collector : java.lang.management.ManagementFactory.getGarbageCollectorMXBeans()) {
      millis += collector.getCollectionTime();
    }
    return millis / 1e3;
  }

  private static long peakRssBytes() throws Exception {
    for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
      if (line.startsWith("VmHWM:")) {
        return Long.parseLong(line.replaceAll("\\D", "")) * 1024;
      }
    }
    return 0;
  }
}
