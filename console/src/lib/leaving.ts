// What left, as `portcullis data report --json` has it. Nothing of it is there where no data is guarded.

export interface Leaving {
  answers?: number;
  text_bytes?: number;
  /** Bytes that were not looked at, by why. */
  unread_bytes?: Record<string, number>;
  /** Different values, by kind. */
  values?: Record<string, number>;
  records?: number;
  /** Of these, exported as declared. */
  exported?: number;
  canaries?: number;
  canary_alarms?: number;
  enumerations?: number;
  alarms?: { canary?: string; platform?: string; path?: string; client?: string; reference?: string; asked?: boolean; unix_millis?: number }[];
  proposals?: Budget[];
}

/** A budget that is proposed: records an hour for each session. */
export interface Budget {
  platform: string;
  route: string;
  records: number;
  usual: number;
  most: number;
  hours: number;
}
