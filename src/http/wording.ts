// What Ajv finds wrong, in words for whoever has to change it. Pure: the command line says it of a file in the same words.
import type { ErrorObject } from 'ajv'
import { didYouMean } from './nearest.ts'

export function wording({ keyword, params, message, parentSchema }: ErrorObject): string {
  switch (keyword) {
    case 'additionalProperties':
      return `There is no such field.${didYouMean(String(params['additionalProperty']), Object.keys(parentSchema?.['properties'] ?? {}))}`
    case 'required':
      return 'This field is required.'
    case 'enum':
      return `Must be one of ${params['allowedValues'].join(', ')}.`
    case 'format':
      return params['format'] === 'text'
        ? 'Must be text without control characters or broken Unicode.'
        : `Must be a ${params['format']}.`
    case 'pattern':
      return parentSchema?.['description']
        ? `Must be: ${parentSchema['description']}`
        : `Must match ${params['pattern']}`
    default:
      return `${(message ?? 'is wrong').replace(/^m/, 'M')}.`
  }
}

/** Where it is wrong, or where something is missing. */
export const pointerOf = (finding: ErrorObject): string => finding.instancePath + extraSegment(finding)

function extraSegment({ keyword, params }: ErrorObject): string {
  const name = keyword === 'additionalProperties' ? params['additionalProperty'] : params['missingProperty']
  return typeof name === 'string' ? `/${name.slice(0, 100).replaceAll('~', '~0').replaceAll('/', '~1')}` : ''
}
