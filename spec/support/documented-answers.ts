import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import type { Response } from 'supertest'

interface Operation {
  readonly responses: Readonly<Record<string, { readonly content?: object }>>
}
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}

/** Holds answers against an OpenAPI document, strictly: what it does not list is an error. */
export class DocumentedAnswers {
  readonly #document: Document
  readonly #ajv = new Ajv2020({ allErrors: true, strict: false })
  readonly #compiled = new Map<string, ValidateFunction>()
  /** The operations and statuses that have been held against the document: `get /a/{id} 200`. */
  readonly seen = new Set<string>()

  constructor(document: object) {
    this.#document = document as Document
    this.#ajv.addSchema(document, 'openapi.json')
  }

  /** All that the document lists, as in `seen`. */
  get listed(): string[] {
    return Object.entries(this.#document.paths).flatMap(([path, operations]) =>
      Object.entries(operations).flatMap(([method, operation]) =>
        Object.keys(operation.responses).map((status) => `${method} ${path} ${status}`),
      ),
    )
  }

  /** Throws where the answer is not as documented; returns it. */
  check(method: string, path: string, response: Response): Response {
    const [bare = ''] = path.split('?')
    const template = Object.keys(this.#document.paths)
      .sort((left, right) => left.split('{').length - right.split('{').length)
      .find((known) => new RegExp(`^${known.replaceAll(/[.]/g, '\\.').replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(bare))
    const name = `${method} ${template} ${response.status}`
    const answer = this.#document.paths[String(template)]?.[method]?.responses[response.status]
    if (!template || !answer) throw new Error(`${name} (${path}) is not documented: ${response.text}`)
    this.seen.add(name)
    const content = answer.content
    if (!content) {
      if (response.text) throw new Error(`${name} is to be empty: ${response.text}`)
      return response
    }
    const pointer = [
      'paths',
      template,
      method,
      'responses',
      String(response.status),
      'content',
      'application/json',
      'schema',
    ]
    const validate = this.#validator(pointer)
    if (!validate(response.body))
      throw new Error(`${name}: ${this.#ajv.errorsText(validate.errors)}\n${JSON.stringify(response.body, null, 1)}`)
    return response
  }

  #validator(pointer: string[]): ValidateFunction {
    const $ref = `openapi.json#/${pointer.map((part) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')}`
    const compiled = this.#compiled.get($ref) ?? this.#ajv.compile({ $ref })
    this.#compiled.set($ref, compiled)
    return compiled
  }
}
