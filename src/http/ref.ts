// A reference to a shared schema: named components in the OpenAPI document, one serializer for each.
import Type, { type Static, type TSchema } from 'typebox'

/** To be used where the schema was given to app.addSchema. */
export function ref<S extends TSchema & { $id?: string }>(schema: S) {
  return Type.Unsafe<Static<S>>({ $ref: `${schema.$id}#` })
}
