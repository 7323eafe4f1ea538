package dev.millrace.bench;

import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.api.Schema;
import org.apache.flink.table.api.Table;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.binary.BinaryStringData;

/**
 * The jobs in SQL: windowing table-valued functions over the same source.
 *
 * <p>Rows enter and leave as Flink's internal binary rows, so nothing is converted at the edges.
 */
final class SqlJobs {
  private static final String FROM_MINUTES =
      " FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(rowtime), INTERVAL '1' MINUTE)) ";

  private SqlJobs() {}

  /** Count and sum of revenue by person and minute. */
  static void tumbling(StreamExecutionEnvironment env, Options options) {
    StreamTableEnvironment tables = tables(env, options);
    Table result =
        tables.sqlQuery(
            "SELECT person, window_start, COUNT(*) AS events, SUM(revenue_minor) AS revenue"
                + FROM_MINUTES
                + "GROUP BY person, window_start, window_end");
    sink(tables, result, options, SqlJobs::formatPair);
  }

  /** Count and sum of revenue by person in a minute, every five seconds. */
  static void sliding(StreamExecutionEnvironment env, Options options) {
    StreamTableEnvironment tables = tables(env, options);
    Table result =
        tables.sqlQuery(
            "SELECT person, window_start, COUNT(*) AS events, SUM(revenue_minor) AS revenue"
                + " FROM TABLE(HOP(TABLE events, DESCRIPTOR(rowtime), INTERVAL '5' SECOND, INTERVAL '1' MINUTE)) "
                + "GROUP BY person, window_start, window_end");
    sink(tables, result, options, SqlJobs::formatPair);
  }

  /** Count and sum of revenue by person in windows that grow by 20 seconds up to a minute; known by their end. */
  static void cumulate(StreamExecutionEnvironment env, Options options) {
    StreamTableEnvironment tables = tables(env, options);
    Table result =
        tables.sqlQuery(
            "SELECT person, window_end, COUNT(*) AS events, SUM(revenue_minor) AS revenue"
                + " FROM TABLE(CUMULATE(TABLE events, DESCRIPTOR(rowtime), INTERVAL '20' SECOND, INTERVAL '1' MINUTE)) "
                + "GROUP BY person, window_start, window_end");
    sink(tables, result, options, SqlJobs::formatPair);
  }

  /** Count and sum of revenue by person and session. */
  static void session(StreamExecutionEnvironment env, Options options) {
    StreamTableEnvironment tables = tables(env, options);
    Table result =
        tables.sqlQuery(
            "SELECT person, window_start, COUNT(*) AS events, SUM(revenue_minor) AS revenue"
                + " FROM TABLE(SESSION(TABLE events PARTITION BY person, DESCRIPTOR(rowtime), INTERVAL '10' SECOND)) "
                + "GROUP BY person, window_start, window_end");
    sink(tables, result, options, SqlJobs::formatPair);
  }

  /** Exact distinct persons by screen and minute. */
  static void distinct(StreamExecutionEnvironment env, Options options) {
    StreamTableEnvironment tables = tables(env, options);
    Table result =
        tables.sqlQuery(
            "SELECT screen, window_start, COUNT(DISTINCT person) AS persons"
                + FROM_MINUTES
                + "GROUP BY screen, window_start, window_end");
    sink(tables, result, options, SqlJobs::formatOne);
  }

  /** Exact distinct persons of five minutes, every half minute. */
  static void productActives(StreamExecutionEnvironment env, Options options) {
    StreamTableEnvironment tables = tables(env, options);
    Table result =
        tables.sqlQuery(
            "SELECT '' AS everybody, window_start, COUNT(DISTINCT person) AS persons"
                + " FROM TABLE(HOP(TABLE events, DESCRIPTOR(rowtime), INTERVAL '30' SECOND, INTERVAL '5' MINUTE)) "
                + "GROUP BY window_start, window_end");
    sink(tables, result, options, SqlJobs::formatOne);
  }

  /** Count and sum of revenue by person and session of a product. */
  static void productSessions(StreamExecutionEnvironment env, Options options) {
    StreamTableEnvironment tables = tables(env, options);
    Table result =
        tables.sqlQuery(
            "SELECT person, window_start, COUNT(*) AS events, SUM(revenue_minor) AS revenue"
                + " FROM TABLE(SESSION(TABLE events PARTITION BY person, DESCRIPTOR(rowtime), INTERVAL '30' SECOND)) "
                + "GROUP BY person, window_start, window_end");
    sink(tables, result, options, SqlJobs::formatPair);
  }

  /** Views by screen and minute. */
  static void productPages(StreamExecutionEnvironment env, Options options) {
    StreamTableEnvironment tables = tables(env, options);
    Table result =
        tables.sqlQuery(
            "SELECT screen, window_start, COUNT(*) AS events"
                + FROM_MINUTES
                + "GROUP BY screen, window_start, window_end");
    sink(tables, result, options, SqlJobs::formatOne);
  }

  private static StreamTableEnvironment tables(StreamExecutionEnvironment env, Options options) {
    StreamTableEnvironment tables = StreamTableEnvironment.create(env);
    tables.getConfig().set("table.local-time-zone", "UTC");
    tables
        .getConfig()
        .set("table.optimizer.agg-phase-strategy", options.variant().contains("one-phase") ? "ONE_PHASE" : "TWO_PHASE");
    if (options.variant().contains("split")) {
      tables.getConfig().set("table.optimizer.distinct-agg.split.enabled", "true");
    }
    Table events =
        tables.fromDataStream(
            Events.rows(env, options),
            Schema.newBuilder()
                .column("person", DataTypes.STRING())
                .column("screen", DataTypes.STRING())
                .column("revenue_minor", DataTypes.BIGINT())
                .column("occurred_at_ms", DataTypes.BIGINT())
                .columnByMetadata("rowtime", DataTypes.TIMESTAMP_LTZ(3))
                .watermark("rowtime", "SOURCE_WATERMARK()")
                .build());
    tables.createTemporaryView("events", events);
    return tables;
  }

  private static void sink(
      StreamTableEnvironment tables, Table result, Options options, ResultSink.Format<RowData> format) {
    if (options.variant().contains("explain")) {
      System.err.println(result.explain());
    }
    tables
        .<RowData>toDataStream(result, result.getResolvedSchema().toPhysicalRowDataType().bridgedTo(RowData.class))
        .sinkTo(new ResultSink<>(format, options.rowsDirectory()));
  }

  private static void formatPair(RowData row, Tally.RowText into) {
    formatKeyAndWindow(row, into).number(row.getLong(2)).number(row.getLong(3));
  }

  private static void formatOne(RowData row, Tally.RowText into) {
    formatKeyAndWindow(row, into).number(row.getLong(2));
  }

  private static Tally.RowText formatKeyAndWindow(RowData row, Tally.RowText into) {
    byte[] key = ((BinaryStringData) row.getString(0)).toBytes();
    return into.key(key, 0, key.length).number(row.getTimestamp(1, 3).getMillisecond());
  }
}
