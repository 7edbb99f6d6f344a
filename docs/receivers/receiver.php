<?php
// A receiver in PHP: `WEBHOOK_SECRET=whsec_… php -S 127.0.0.1:8080 receiver.php`, or under any web server.

// The signature is the last member, so the body ends in 87 bytes that are made of all before them.
function is_signed(string $body, string $secret): bool
{
    $signature = hash_hmac('sha256', substr($body, 0, -87) . '}', $secret);
    return hash_equals(',"signature":"sha256=' . $signature . '"}', substr($body, -87));
}

$secret = (string) getenv('WEBHOOK_SECRET');
if (!str_starts_with($secret, 'whsec_')) {
    http_response_code(500);
    exit('WEBHOOK_SECRET is not set: without it anybody could sign.');
}
$body = file_get_contents('php://input');
if (!is_signed($body, $secret)) {
    http_response_code(401);
    exit;
}
$id = $_SERVER['HTTP_WEBHOOK_ID'] ?? ''; // the same message may come twice: keep its id in a unique column
$message = json_decode($body, true);
error_log("$id {$message['event']} {$message['data']['id']}");
http_response_code(204); // quickly: what takes long is better queued
