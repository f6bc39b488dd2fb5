// Pieces of JSON schema that routes of both services use.
export const text = (maxLength: number, example: string) =>
  ({ type: 'string', minLength: 1, maxLength, examples: [example] }) as const

/** Nothing beyond what is named. */
export const object = <P extends Record<string, object>>(properties: P, required = Object.keys(properties)) =>
  ({ type: 'object', properties, required, additionalProperties: false }) as const

export const list = <I extends object>(items: I) => ({ type: 'array', items }) as const

export const empty = (description: string) => ({ type: 'null', description }) as const

const problem = (description: string) => ({
  description,
  content: {
    'application/problem+json': {
      schema: object({ title: { type: 'string' }, status: { type: 'integer' }, detail: { type: 'string' } }),
    },
  },
})
export const notFound = { 404: problem('There is none') }
export const conflict = { 409: problem('Not as things are') }
