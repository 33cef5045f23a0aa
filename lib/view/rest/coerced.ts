import { z } from 'zod'

/** Types of parameters as GitLab's API takes them: texts of forms and addresses stand for numbers, booleans and lists. */

const TRUE = ['true', 't', '1', 'yes', 'y', 'on']
const FALSE = ['false', 'f', '0', 'no', 'n', 'off']

const isBlank = (raw: unknown) => raw === null || raw === ''

/** Null where it is blank: the same as not given. */
export const integer = () =>
  z.preprocess((raw) => {
    if (isBlank(raw)) return null
    return typeof raw === 'string' && /^[+-]?\d{1,15}$/.test(raw) ? Number(raw) : raw
  }, z.int().nullable())

/** Null where it is blank: the same as not given. */
export const boolean = () =>
  z.preprocess((raw) => {
    if (isBlank(raw)) return null
    // Of some objects no text can be made.
    if (typeof raw === 'object') return raw
    const text = String(raw).toLowerCase()
    if (TRUE.includes(text)) return true
    return FALSE.includes(text) ? false : raw
  }, z.boolean().nullable())

const asText = (raw: unknown) => (typeof raw === 'number' || typeof raw === 'boolean' ? String(raw) : raw)

/** Null stays null. */
export const text = () => z.preprocess(asText, z.string().nullable())

/** An array, or one text with commas. Blank is the empty list. */
export const list = () =>
  z.preprocess((raw) => {
    if (isBlank(raw)) return []
    if (Array.isArray(raw)) return raw.map(asText)
    const one = asText(raw)
    return typeof one === 'string' ? one.split(',').flatMap((part) => part.trim() || []) : raw
  }, z.array(z.string()))
