package dev.millrace.bench;

import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.WriterInitContext;

/**
 * Discards result rows after counting them and adding their hash to the order-free checksum; in rows mode it also
 * writes each row's text to {@code rows-SUBTASK.txt} in a directory.
 */
final class ResultSink<T> implements Sink<T> {
  private static final long serialVersionUID = 1L;

  /** Turns a result into its canonical text. */
  interface Format<T> extends java.io.Serializable {
    void write(T row, Tally.RowText into);
  }

  private final Format<T> format;
  private final String rowsDirectory;

  /** {@code rowsDirectory} is null where rows are only counted. */
  ResultSink(Format<T> format, String rowsDirectory) {
    this.format = format;
    this.rowsDirectory = rowsDirectory;
  }

  @Override
  public SinkWriter<T> createWriter(WriterInitContext context) throws IOException {
    int subtask = context.getTaskInfo().getIndexOfThisSubtask();
    BufferedWriter out =
        rowsDirectory == null ? null : Files.newBufferedWriter(Path.of(rowsDirectory, "rows-" + subtask + ".txt"));
    return new Writer<>(format, out);
  }

  private static final class Writer<T> implements SinkWriter<T> {
    private final Format<T> format;
    private final BufferedWriter out;
    private final Tally.RowText text = new Tally.RowText();
    private long rows;
    private long checksum;

    Writer(Format<T> format, BufferedWriter out) {
      this.format = format;
      this.out = out;
    }

    @Override
    public void write(T row, Context context) throws IOException {
      format.write(row, text);
      rows++;
      checksum += text.hash();
      if (out != null) {
        out.write(text.text());
        out.write('\n');
      }
    }

    @Override
    public void flush(boolean endOfInput) {}

    @Override
    public void close() throws IOException {
      Tally.ROWS.addAndGet(rows);
      Tally.CHECKSUM.addAndGet(checksum);
      if (out != null) {
        out.close();
      }
    }
  }
}
