// Answers are written by what is compiled from their schemas; this file says when. The schemas are the rooms'.
import { SerializerSelector } from '@fastify/fast-json-stringify-compiler'

const buildCompiler = SerializerSelector()

/**
 * Fastify's own compiler of serializers, except that it compiles one when an answer first needs it: a start would spend
 * a tenth of its time on answers that most processes never give.
 */
export const buildSerializer: typeof buildCompiler = (schemas, options) => {
  const compile = buildCompiler(schemas, options)
  return (answer) => {
    let serialize: ReturnType<typeof compile> | undefined
    return (value) => {
      serialize ??= compile(answer)
      return serialize(value)
    }
  }
}
