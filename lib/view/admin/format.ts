import type { Request } from 'express'

const BYTE_UNITS = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte', 'petabyte']
const DURATIONS: readonly (readonly [seconds: number, unit: Intl.RelativeTimeFormatUnit & string])[] = [
  [86_400, 'day'],
  [3600, 'hour'],
  [60, 'minute'],
  [1, 'second'],
]
const NOTHING = '–'
const DEFAULT_LANGUAGE = 'en'
const MOST_LANGUAGES_KEPT = 50

/** What is made once for a language: making it takes longer than a page. */
class Language {
  readonly name: string
  readonly count: Intl.NumberFormat
  readonly decimal: Intl.NumberFormat
  readonly small: Intl.NumberFormat
  readonly percent: Intl.NumberFormat
  readonly exact: Intl.DateTimeFormat
  readonly relative: Intl.RelativeTimeFormat
  readonly #units = new Map<string, Intl.NumberFormat>()

  constructor(name: string) {
    this.name = name
    this.count = new Intl.NumberFormat(name, { maximumFractionDigits: 0 })
    this.decimal = new Intl.NumberFormat(name, { maximumSignificantDigits: 3 })
    this.small = new Intl.NumberFormat(name, { maximumFractionDigits: 2 })
    this.percent = new Intl.NumberFormat(name, { style: 'percent', maximumFractionDigits: 1 })
    this.exact = new Intl.DateTimeFormat(name, { dateStyle: 'medium', timeStyle: 'long', timeZone: 'UTC' })
    this.relative = new Intl.RelativeTimeFormat(name, { numeric: 'auto' })
  }

  unit(unit: string, unitDisplay: 'long' | 'short', digits: Intl.NumberFormatOptions): Intl.NumberFormat {
    const known = this.#units.get(unit)
    if (known) return known
    const made = new Intl.NumberFormat(this.name, { style: 'unit', unit, unitDisplay, ...digits })
    this.#units.set(unit, made)
    return made
  }
}

const languages = new Map<string, Language>()

/** Browsers name what they like: those that are asked for first are kept. */
function languageOf(name: string): Language {
  const language = languages.get(name) ?? new Language(name)
  if (languages.size < MOST_LANGUAGES_KEPT) languages.set(name, language)
  return language
}

/** Numbers and times in the language of one browser. What is not known is a dash. */
export class Format {
  readonly language: string
  readonly #nowMs: number
  readonly #words: Language

  constructor(language: string, nowMs: number) {
    this.language = language
    this.#nowMs = nowMs
    this.#words = languageOf(language)
  }

  static of(request: Request, nowMs: number): Format {
    const asked = request.acceptsLanguages().filter((language) => /^[a-z]{2,3}\b[\w-]{0,30}$/i.test(language))
    return new Format(supported(asked), nowMs)
  }

  at(nowMs: number): Format {
    return new Format(this.language, nowMs)
  }

  /** `12,345` */
  count(value: number | null | undefined): string {
    return value == null ? NOTHING : this.#words.count.format(value)
  }

  /** Three digits that count, and no more than two after the point: `0.01`, `12.3`, `12,300`. */
  decimal(value: number | null | undefined): string {
    if (value == null) return NOTHING
    return (Math.abs(value) < 1 ? this.#words.small : this.#words.decimal).format(value)
  }

  /**
   * A share, rounded down to one decimal, so that only all is 100 %; `< 1 %` where there is something but no whole one (GB.J.1).
   */
  share(part: number | null | undefined, total: number | null | undefined): string {
    if (part == null || !total) return `${NOTHING} %`
    const thousandths = Math.floor((part / total) * 1000)
    if (part > 0 && thousandths < 10) return `< ${this.#words.percent.format(0.01)}`
    return this.#words.percent.format(thousandths / 1000)
  }

  /** `3.4 MB` in powers of 1,000. */
  bytes(value: number | null | undefined): string {
    if (value == null) return NOTHING
    const power = value < 1000 ? 0 : Math.min(Math.floor(Math.log10(value) / 3), BYTE_UNITS.length - 1)
    const digits = power === 0 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 3 }
    const unit = this.#words.unit(BYTE_UNITS[power] as string, power === 0 ? 'long' : 'short', digits)
    return unit.format(value / 1000 ** power)
  }

  /** `12 seconds`, `3 minutes`, `2 hours`. */
  duration(seconds: number | null | undefined): string {
    if (seconds == null) return NOTHING
    const [length, unit] = unitOf(seconds, 2)
    return this.#words.unit(unit, 'long', { maximumFractionDigits: 0 }).format(Math.round(seconds / length))
  }

  /** `3 minutes ago`, `in 2 hours`; within the minute `now`, so that it seldom changes. */
  relative(iso: string): string {
    const seconds = (Date.parse(iso) - this.#nowMs) / 1000
    if (Math.abs(seconds) < 60) return this.#words.relative.format(0, 'second')
    const [length, unit] = unitOf(Math.abs(seconds), 1)
    return this.#words.relative.format(Math.trunc(seconds / length), unit)
  }

  /** `Nov 24, 2026, 5:24:10 PM UTC` */
  exact(iso: string): string {
    return this.#words.exact.format(Date.parse(iso))
  }
}

function unitOf(seconds: number, least: number) {
  return DURATIONS.find(([length]) => seconds >= least * length) ?? ([1, 'second'] as const)
}

function supported(languages: readonly string[]): string {
  try {
    return Intl.NumberFormat.supportedLocalesOf(languages)[0] ?? DEFAULT_LANGUAGE
  } catch (reason) {
    if (reason instanceof RangeError) return DEFAULT_LANGUAGE
    throw reason
  }
}
