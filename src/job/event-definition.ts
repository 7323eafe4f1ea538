/** What a job definition says about its events, after parsing. Types only; see definition.ts. */

/** How an event's bytes become time and key. */
export interface EventDefinition {
  /** Full name of the Protobuf message. */
  readonly message: string
  /** Path of the event time: a google.protobuf.Timestamp, or an integer of `timeUnit`. */
  readonly time: string
  readonly timeUnit: 's' | 'ms' | 'us' | 'ns'
  /** Path of the key: a string, bytes or integer field; an event without it is dead-lettered. */
  readonly key: string
  /** An event later than wall clock plus this is dead-lettered and moves no watermark. */
  readonly maxFutureMs: number
  /** Path of its weight, an integer: 1 or absent, or -1 for an event that is taken back. Absent: all are events. */
  readonly weight?: string
  /** Where the descriptors of its messages come from; absent: those of this program. */
  readonly schema?: SchemaDefinition
  /** The types of event in the topic, if there are several: then fields of all of them may be named. */
  readonly types?: readonly EventTypeDefinition[]
  /** What a record becomes that is of no type here; absent: `filter`. */
  readonly others?: 'filter' | 'deadLetter'
}

/** Where descriptors come from. */
export type SchemaDefinition =
  /** A file in the server's folder of schemas, or the bytes that came with the submission in its place. */
  | { readonly kind: 'descriptorSet'; readonly path: string }
  /** The latest versions of subjects; values are framed with their schema's id. None is the topic's name and `-value`. */
  | { readonly kind: 'registry'; readonly subjects: readonly string[] }

/** One of several types of event. */
export interface EventTypeDefinition {
  /** What `event_type` says. */
  readonly type: string
  /** Full name of its message; '' when `when` names a field, whose message it is. */
  readonly message: string
  /** How it is told apart; null: by its message, which the schema registry's framing names. */
  readonly when:
    | { readonly kind: 'header'; readonly header: string; readonly equals: string }
    | { readonly kind: 'field'; readonly field: string }
    | null
  /** Paths of its time and key; '' for those of the event. */
  readonly time: string
  readonly key: string
}
