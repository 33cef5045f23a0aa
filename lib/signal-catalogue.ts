import type { ErrorCode } from './errors.ts'

/** What this process has done or seen, by name. Each is told once what it tells of is committed. */
export interface GeoSignals {
  /** On a secondary: an attempt to fetch the file of a record begins. */
  'blob:started': {
    readonly type: string
    readonly id: string
    /**
     * At the first attempt after an event: seconds from the host's transaction on the primary until now, by the clocks of the two
     * databases. Null otherwise.
     */
    readonly waitedSeconds: number | null
  }
  /** On a secondary: the file of a record is in its place and durable. */
  'blob:synced': {
    readonly type: string
    readonly id: string
    readonly key: string
    readonly bytes: number
    /** From the claim of its batch until now. */
    readonly seconds: number
    /** False where the file lay in its place already and was right. */
    readonly fetched: boolean
  }
  /** On a secondary: a batch of blobs was asked of the primary, and what came of it is recorded. */
  'transfer:ended': {
    readonly type: string
    readonly blobs: number
    /** `refused`: the primary is away or asks for patience; `cut`: this process lost its lease or stops. */
    readonly outcome: 'answered' | 'refused' | 'cut'
    readonly seconds: number
  }
  /** The stored bytes are as recorded; on the primary: are recorded, or still as recorded. */
  'blob:verified': {
    readonly type: string
    readonly id: string
    readonly site: 'primary' | 'secondary'
    /** From the claim of its batch until now. */
    readonly seconds: number
    /**
     * On a secondary, the first time after an event: seconds from the host's transaction on the primary until now, by the
     * clocks of the two databases. Null otherwise.
     */
    readonly lagSeconds: number | null
  }
  /** An attempt failed and will be repeated. `WORKER_LOST`: the process that made it is gone, and this one has found that. */
  'blob:failed': {
    readonly type: string
    readonly id: string
    readonly during: 'sync' | 'verification' | 'removal'
    readonly code: ErrorCode
    readonly message: string
    /** Null of `WORKER_LOST`: at once the first time, then ever later. */
    readonly retryInSeconds: number | null
  }
  /** On a secondary: the record is gone or out of scope, and so are its file and its registry row. */
  'blob:removed': { readonly type: string; readonly id: string }
  /** On a secondary: the primary cannot be reached or asks for patience; nothing is counted as failed meanwhile. */
  'transfers:paused': {
    readonly code: ErrorCode
    readonly message: string
    /** Of which type alone, whose store is away on the primary; null: of all. */
    readonly type: string | null
  }
  'transfers:resumed': { readonly code: ErrorCode; readonly type: string | null }
}

export type GeoSignalName = keyof GeoSignals

/** The same in words: for docs/events.md, and for `geo.on` to know its names. */
type Described = {
  readonly [Name in GeoSignalName]: {
    readonly when: string
    readonly fields: { readonly [Field in keyof GeoSignals[Name]]: string }
  }
}

const TYPE = 'The name of the type.'
const PAUSED_TYPE = 'The name of the type that pauses alone, for its store is away on the primary; null: all pause.'
const ID = "The key of the host's row, as text."

export const SIGNALS: Described = Object.freeze({
  'blob:started': {
    when: 'On a secondary: an attempt to fetch the file of a record begins.',
    fields: {
      type: TYPE,
      id: ID,
      waitedSeconds:
        "At the first attempt after an event: seconds from the host's transaction on the primary until now, by the clocks of the two databases. Null otherwise.",
    },
  },
  'blob:synced': {
    when: 'On a secondary: the file of a record is in its place and durable.',
    fields: {
      type: TYPE,
      id: ID,
      key: 'The key of the file in the store.',
      bytes: 'Its size.',
      seconds: 'From the claim of its batch until now.',
      fetched: 'False where the file lay in its place already and was right.',
    },
  },
  'blob:verified': {
    when: 'The stored bytes are as recorded; on the primary: are recorded, or still as recorded.',
    fields: {
      type: TYPE,
      id: ID,
      site: '`primary` or `secondary`.',
      seconds: 'From the claim of its batch until now.',
      lagSeconds:
        "On a secondary, the first time after an event: seconds from the host's transaction on the primary until now, by the clocks of the two databases. Null otherwise.",
    },
  },
  'blob:failed': {
    when: 'An attempt failed and will be repeated; `WORKER_LOST`: the process that made it is gone, and this one has found that.',
    fields: {
      type: TYPE,
      id: ID,
      during: '`sync`, `verification` or `removal`.',
      code: 'A stable code: errors.md.',
      message: 'What happened, in words.',
      retryInSeconds: 'When it is tried again. Null of `WORKER_LOST`: at once the first time, then ever later.',
    },
  },
  'blob:removed': {
    when: 'On a secondary: the record is gone or out of scope, and so are its file and its registry row.',
    fields: { type: TYPE, id: ID },
  },
  'transfer:ended': {
    when: 'On a secondary: a batch of blobs was asked of the primary, and what came of it is recorded.',
    fields: {
      type: TYPE,
      blobs: 'How many were claimed.',
      outcome:
        '`answered`; `refused`: the primary is away or asks for patience; `cut`: this process lost its lease or stops.',
      seconds: 'From the claim until now.',
    },
  },
  'transfers:paused': {
    when: 'On a secondary: the primary cannot be reached or asks for patience; nothing is counted as failed meanwhile.',
    fields: { code: 'A stable code: errors.md.', message: 'What happened, in words.', type: PAUSED_TYPE },
  },
  'transfers:resumed': {
    when: 'On a secondary: the primary answers again.',
    fields: { code: 'Why they had paused.', type: PAUSED_TYPE },
  },
})
