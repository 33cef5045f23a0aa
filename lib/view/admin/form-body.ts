import express from 'express'

/** Forms of the pages: a page of a list has at most a few hundred fields. */
export const readForm = express.urlencoded({ extended: false, limit: '256kb', parameterLimit: 1000 })

/** What was sent, whoever has read it: each field with all its values. */
export class FormBody {
  readonly #fields: Readonly<Record<string, unknown>>

  constructor(body: unknown) {
    this.#fields = typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {}
  }

  /** The field, trimmed; empty where there is none. */
  text(name: string): string {
    return this.all(name)[0]?.trim() ?? ''
  }

  has(name: string): boolean {
    return this.all(name).length > 0
  }

  all(name: string): string[] {
    const value = Object.hasOwn(this.#fields, name) ? this.#fields[name] : undefined
    return [value].flat().filter((each): each is string => typeof each === 'string')
  }
}
