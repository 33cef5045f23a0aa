import { html, type SafeHtml } from '@remix-run/html-template'

export interface FieldParts {
  readonly name: string
  readonly label: string
  readonly value: string
  readonly hint?: string
  readonly problem?: string | undefined
  readonly kind?: 'text' | 'url' | 'number' | 'lines'
  readonly required?: boolean
  readonly maxLength?: number
  readonly least?: number
}

/** One labelled field of a form, with its hint and what is wrong with it. */
export function field({
  name,
  label,
  value,
  hint,
  problem,
  kind = 'text',
  required,
  maxLength,
  least,
}: FieldParts): SafeHtml {
  const counter = maxLength !== undefined
  const described = [hint && `${name}-hint`, counter && `${name}-counter`, problem && `${name}-problem`].filter(Boolean)
  const attributes = html`id="${name}" name="${name}" autocomplete="off" ${required ? html`required` : ''} ${
    maxLength === undefined ? '' : html`maxlength="${maxLength}" data-counter="${name}-counter"`
  } ${described.length > 0 ? html`aria-describedby="${described.join(' ')}"` : ''} ${problem ? html`aria-invalid="true"` : ''}`
  return html`<div class="field"><label for="${name}">${label}</label>
${hint ? html`<p class="hint quiet" id="${name}-hint">${hint}</p>` : ''}
${
  kind === 'lines'
    ? html`<textarea rows="3" ${attributes}>${value}</textarea>`
    : html`<input type="${kind}" value="${value}" ${attributes} ${kind === 'number' ? html`inputmode="numeric" step="1" min="${least ?? 0}"` : ''}>`
}
${counter ? html`<p class="hint quiet" id="${name}-counter">At most ${maxLength} characters</p>` : ''}
${problem ? html`<p class="error" id="${name}-problem">${problem}</p>` : ''}</div>`
}

export function checkField(name: string, label: string, checked: boolean, hint: string): SafeHtml {
  return html`<div class="check"><input type="checkbox" id="${name}" name="${name}" value="1" ${checked ? html`checked` : ''} aria-describedby="${name}-hint"><div><label for="${name}">${label}</label><p class="quiet" id="${name}-hint">${hint}</p></div></div>`
}
