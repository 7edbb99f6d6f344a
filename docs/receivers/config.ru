# A receiver in Ruby, for any Rack server: `WEBHOOK_SECRET=whsec_… rackup -p 8080`.
require "json"
require "openssl"

SECRET = ENV.fetch("WEBHOOK_SECRET")
abort "WEBHOOK_SECRET is not set: without it anybody could sign." unless SECRET.start_with?("whsec_")

# The signature is the last member, so the body ends in 87 bytes that are made of all before them.
def signed?(body)
  return false if body.bytesize <= 87

  signature = OpenSSL::HMAC.hexdigest("SHA256", SECRET, "#{body.byteslice(0...-87)}}")
  OpenSSL.fixed_length_secure_compare(body.byteslice(-87, 87), %(,"signature":"sha256=#{signature}"}).b)
end

run lambda { |env|
  body = env["rack.input"].read.b
  next [401, {}, []] unless signed?(body)

  id = env["HTTP_WEBHOOK_ID"] # the same message may come twice: keep its id in a unique column
  message = JSON.parse(body)
  puts "#{id} #{message["event"]} #{message["data"]["id"]}"
  [204, {}, []] # quickly: what takes long is better queued
}
